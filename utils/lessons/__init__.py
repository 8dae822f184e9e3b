"""What single chapters need on their pages: a file for each that needs one."""
