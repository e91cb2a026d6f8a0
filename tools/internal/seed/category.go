package seed

import "regexp"

// Category groups products.
type Category struct {
	// Slug is for URLs, Name for people.
	Slug, Name string
}

// General is the category of products that no word places.
var General = Category{"gifts", "Gifts & Curiosities"}

// The categories in the order in which Categories lists them.
var (
	bags        = Category{"bags", "Bags, Purses & Travel"}
	baking      = Category{"kitchen", "Kitchen & Baking"}
	candles     = Category{"candles-lighting", "Candles & Lighting"}
	comfort     = Category{"home-comforts", "Cushions & Comforts"}
	decorations = Category{"decorations", "Ornaments & Decorations"}
	garden      = Category{"garden", "Garden & Outdoor"}
	jewellery   = Category{"jewellery", "Jewellery & Accessories"}
	party       = Category{"party", "Party & Celebrations"}
	seasonal    = Category{"christmas-easter", "Christmas & Easter"}
	stationery  = Category{"stationery", "Cards, Wrap & Stationery"}
	storage     = Category{"storage", "Storage & Hooks"}
	tableware   = Category{"tableware", "Tea, Mugs & Tableware"}
	toys        = Category{"toys", "Toys & Children"}
	wall        = Category{"wall-decor", "Signs, Clocks & Frames"}
)

// CategoryOf places a product by the words of its name.
func CategoryOf(name string) Category {
	for _, r := range rules {
		if r.words.MatchString(name) {
			return r.category
		}
	}
	return General
}

type rule struct {
	category Category
	words    *regexp.Regexp
}

// whole matches any of the alternatives as whole words.
func whole(category Category, alternatives string) rule {
	return rule{category, regexp.MustCompile(`(?i)(?:^|[^\pL])(?:` + alternatives + `)(?:$|[^\pL])`)}
}

// rules are tried in their order and the first that matches places the
// product. Words that say what a thing is come before words that say what is on
// it: a mug with a dog is a mug, a paper napkin for Christmas is for Christmas.
var rules = []rule{
	whole(seasonal, `christmas|blackchristmas|xmas|easter|advent|santas?|reindeer|snow ?(?:man|men|flakes?)|nativity|baubles?|holly|wreath|angels?|stocking|valentines?|wise ?men?|sleigh|rudolph|noel|tinsel`),

	whole(jewellery, `(?:bag|phone|mobile phone) charms?|necklaces?|necklac|bracelets?|ear ?rings?|brooch(?:es)?|bangles?|pendants?|key ?(?:rings?|fobs?|chains?)|chokers?|lariat|hair ?(?:grip|clip|slide|band|comb|tie)s?|jewell?ery|glass ring|flower ring|crystal ring|umbrellas?|parasols?|scarf`),
	whole(comfort, `hot water|hott(?:ie|y|ies)|(?:hand|pocket) warmers?|doorstops?|door ?stops?|cushions?(?: covers?)?|flannels?|quilts?|throws?|bath sponge|shower caps?|soap|filler pad|plasters|first aid|slippers?|balm|eye mask|rugs?|tissue box`),
	whole(stationery, `^card|(?:birthday|greetings?|playtime|monsoon|folkart|art|mothers?) cards?|wrap|wrapping|gift ?wrap|stickers?|notebooks?|note ledgers?|sketchbooks?|postcards?|journal|pencils?|pens?|ribbons?|origami|photo albums?|calculators?|stencil|erasers?`),
	whole(bags, `purses?|handbags?|wallets?|luggage|passport|suitcases?|shopper|washbag|(?:jumbo|lunch|shoulder|tote|gift|party|charlotte|cosmetic|peg|airline|cabin|overnight|beach) ?bags?|bags?|jumbo storage bag`),
	whole(tableware, `mugs?|tea ?cups?|tea ?pots?|saucers?|tumblers?|beakers?|jugs?|coasters?|egg cups?|goblets?`),
	whole(wall, `signs?|doorsign|clocks?|(?:photo|picture|record(?: cover)?|vinyl record) frames?|photoframes?|wall art|(?:wall|compact|hanging heart|heart|jewelled|round) mirror|canvas art|wood letters|block letters|number tile|wall tidy`),
	whole(party, `bunting|balloons?|garlands?|napkins?|paper (?:cups?|chain)|invites?|invitations?|confetti|doilies|party cones`),
	whole(decorations, `decorations?|artificial|ornaments?`),
	whole(baking, `cake ?cases|cake ?stands?|aprons?|recipe|cook(?:ing|ery)?|pantry|tea towels?|jam jars?|storage jars?|oven|baking|cake tins?|pudding bowls?`),
	whole(storage, `(?:drawer|door) knobs?|hooks?|hangers?|storage|lunch box(?:es)?|trinket|treasure|keepsake|coat rack|letter rack|cutlery shelf`),

	whole(candles, `candles?|chocolatecandle|t-?lights?|tea ?lights?|candle ?holders?|candlesticks?|candle ?pots?|candelabras?|lanterns?|lamps?|lamp ?shades?|lights?|night ?lights?|chandeliers?|votives?|incense|wax|matches|torch|oil burner|lightbulb`),
	whole(toys, `toys?|dolls?|jigsaws?|puzzles?|games?|kids?|child(?:'?s|ren'?s)?|baby|babies|playhouse|puppets?|rockets?|robots?|soldiers?|dominoes|skittles|spinning|yo-?yo|marbles|harmonica|kaleidoscope|skipping rope|ludo|snakes|bingo|croquet|dinosaurs?|teddy|building block|crayons?|chalks?|feltcraft|dolly girl|spaceboy|spaceman|space|magic tree|mobile|piggy|money ?(?:box|bank)|bank|finger|nursery|wooden blocks?|balls?|naughts|noughts|bat|stress|bubbles?|tattoos?|gliders?|aeroplane|helicopter|cars?|tractor|felt farm|monsters?|inflatable|ninja|tiaras?|badges?|sandcastle|glow in dark|rain (?:hat|mac|poncho)|sporting`),
	whole(garden, `garden|gardening|gardeners?|plant(?:er|ers|s)?|flower ?pots?|watering|bird ?(?:houses?|feeders?|bath|table|cage)|birdhouse|birdcage|seeds?|grow|trowel|fork|secateurs|shed|outdoor|windmill|windchime|chimes?|thermometer|trellis|buckets?|spade|fly swat|hammock|doormats?|door ?mats?|hose|deck ?chair|boot`),
	whole(baking, `cakes?|cookies?|biscuits?|cutters?|kitchen|measuring|mixing|rolling pin|whisk|spatula|ladle|spoons?|teaspoons?|cutlery|jelly|moulds?|pan|jars?|pudding|bread|scales|colander|trivet|fridge|magnets?|egg|eggs|ice cream|lolly|popsicles|popcorn|sieve|pegs?|food|picnic|flask|bottle opener|corkscrew|herb|butter|cruet|salt|pepper|sugar|toast|toastrack|washing up|dustpan|scrubbing|brush|gloves?|cos(?:y|ies)|microwave|grater|fruitbowl`),
	whole(tableware, `tea|coffee|cups?|plates?|bowls?|wine|champagne|dish(?:es)?|trays?|place ?mats?|mat|table ?cloths?|runner|milk|sundae|decanter|chalice|dinner|breakfast|regency|chopsticks|straws|ashtray|snack|platter|aperitif|glass(?:es)?|charger`),
	whole(party, `party|birthday|celebration|wedding|streamers?|banners?|disco|masks?|fans?|leis|place settings?|tissues?|hawaiian|cordon`),
	whole(stationery, `cards?|tags?|tape|note ?pads?|diary|stationery|writing|calendars?|ledgers?|stamps?|envelopes?|paper|rulers?|sharpeners?|memo|memoboard|chalkboards?|blackboards?|black board|organi[sz]ers?|album|drawing|office|desk|crafts?|sewing|sew|knitting|buttons?|kit|fabric|wool|tidy|paperweights?|p'weight|patches|scissors?|hole punch|twine`),
	whole(jewellery, `rings?|hair|charms?|bead(?:s|ed)?|sunglasses|phone|diamanté (?:star|heart)|ear muff|brolly|orbit`),
	whole(storage, `box(?:es)?|tins?|drawers?|baskets?|racks?|shel(?:f|ves)|shelving|cabinets?|chests?|knobs?|handles?|crates?|bins?|containers?|pots?|cases?|holders?|cupboard|stool|chair|tables?|stand|unit|key|seat`),
	whole(wall, `frames?|mirrors?|prints?|pictures?|plaques?|wall|walls?|photo|posters?|letters?|tiles?|numbers?|alphabet|art|images|ducks`),
	whole(comfort, `curtains?|covers?|pillows?|blankets?|towels?|draught|socks?|warmers?|feather|cotton|lace|bath(?:room)?|sponge|perfume|eye mask|lavender|pot ?pourri|sachets?|compact|massage|foot|knitted`),
	whole(decorations, `decorative|hearts?|hanging|stars?|vases?|flowers?|roses?|blossom|birds?|butterfl(?:y|ies)|crystals?|dove|bells?|buddha|skulls?|shells?|string|cherub|gnome|owl|elephant|horse|babushka|cluster|tree|leaf|leaves|toadstools?|mushrooms?|glitter|cloche|globe|bunn(?:y|ies)|chicks?|rabbit|chicken|frog|cactus|painted|icicle|geisha|daisy|pears`),
}
