"""What treatments painted from conditions alone are worth: as populations, beside what needs no painting."""
