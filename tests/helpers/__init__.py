"""What the tests share: the textbook, problems, bounds, data, and ways to run the program."""
