"""Farthing makes AI infrastructure cost the least it can, and proves it."""
