"""What was found as pages, figures and tables."""
