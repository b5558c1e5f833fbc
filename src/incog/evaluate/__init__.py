"""Measures of what a method did: how private its output is under attack, and what is left of the picture's use."""
