"""Measurements that anyone can repeat: `make bench`. What is measured, and how, is defined in README.md."""
