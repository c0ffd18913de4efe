"""Video files in and out: the only package that touches the codec library."""
