"""The command line: every act of an operator, a creator or a verifier on this machine."""
