package seed

// Categories lists all, the general one last.
func Categories() []Category {
	return []Category{
		bags, baking, candles, comfort, decorations, garden, jewellery, party, seasonal, stationery, storage,
		tableware, toys, wall, General,
	}
}
