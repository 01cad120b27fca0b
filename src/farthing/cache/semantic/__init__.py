"""Answers to questions that mean the same, served only while it is measured that they do."""
