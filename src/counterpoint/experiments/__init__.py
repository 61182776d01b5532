"""Many runs under one protocol: compare, search, folds, reproduce."""
