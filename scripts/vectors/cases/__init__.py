"""What is written to tests/vectors/secagg: one module for each file, each a list of cases. Bytes become hexadecimal."""
