"""What a study will take before it runs: jobs, hours, bytes, and what is missing."""
