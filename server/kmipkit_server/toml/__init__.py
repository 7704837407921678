"""What is told to people about their TOML files: lines, and suggestions for what is misspelled."""
