"""How far each number may be moved, the others following: walks outwards from the minimum."""
