"""The study: its settings, its plates, who trains, tests and predicts what. No torch."""
