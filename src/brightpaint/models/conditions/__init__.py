"""What a network is told beside images: a batch's condition, its encoder, and the labels of fields."""
