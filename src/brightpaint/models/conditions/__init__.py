"""What a network is told beside images: labels."""
