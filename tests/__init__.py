"""The tests: unit, contract, end to end; benchmarks beside them."""
