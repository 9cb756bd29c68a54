"""What several tests need: real servers, and real folds without one."""
