"""What one chapter needs and no other: a file for each chapter that needs one."""
