"""Who may do what, what needs somebody's yes, how budgets are going, and who is told."""
