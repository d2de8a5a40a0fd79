"""What scripts/bootstrap.py is made of: running programs, what the machine must have, the QuickFIX wheel.

Standard library only: it runs before anything is installed. Linux and macOS.
"""
