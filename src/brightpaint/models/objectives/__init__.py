"""What a network's output means and the loss it is trained on."""
