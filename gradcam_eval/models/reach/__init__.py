"""Which pixels a tensor's positions can depend on: sides (arithmetic), and a rule per operation."""
