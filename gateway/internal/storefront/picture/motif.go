package picture

// motif is a thing that can be drawn, standing on the table with its foot at
// y = 322, or hanging from the upper edge.
type motif struct {
	is      string   // its name; also a figure's, when the motif is that figure
	phrases []string // what it is called, in upper case and singular
	colors  []string // what it is usually made of; empty for anything
	hangs   bool     // hangs in the air instead of standing on the table
	sets    bool     // drawn several times for "set of 3"
	plain   bool     // its surface takes no pattern
	grown   bool     // a plant: seasons and materials do not color it
	shadow  int      // half the width of its shadow
	draw    func(*drawing)
}

// motifOf chooses the motif: the thing named last in the part of the name that
// says what it is ("heart t-light holder" is a holder), a being only where no
// thing is named.
func motifOf(w words) motif {
	for _, in := range []struct {
		list []motif
		text string
	}{{things, w.thing}, {beings, w.thing}, {things, w.text}, {beings, w.text}} {
		list := in.list
		best, at, length := -1, -1, 0
		for i, m := range list {
			for _, p := range m.phrases {
				n := last(in.text, p)
				if n < 0 {
					continue
				}
				end := n + len(p)
				if end > at || end == at && len(p) > length {
					best, at, length = i, end, len(p)
				}
			}
		}
		if best >= 0 {
			return list[best]
		}
	}
	return parcel
}

var parcel = motif{is: "parcel", shadow: 96, draw: drawParcel}

// things are what a name can be about; they win over beings, figures that are
// things only when nothing else is named.
var things, beings = motifs()

func motifs() (things, beings []motif) {
	glass := []string{"#a9cdd6", "#d9b3bd", "#c9d8c0", "#e6cf9a", "#bfb2d6"}
	metal := []string{zinc, "#d9d4c8", gold, "#9fb3b0"}
	wooden := []string{wood, white, ivory, sage, sky}
	paper := []string{rose, sky, sage, yellow, red}
	things = []motif{
		{is: "lunchbag", phrases: []string{"LUNCH BAG", "COOL BAG", "RECYCLING BAG"}, shadow: 92, draw: drawLunchBag},
		{is: "bag", phrases: []string{"BAG", "SHOPPER", "JUMBO SHOPPER", "RUCKSACK", "BACKPACK", "TOTE"}, shadow: 104, draw: drawBag},
		{is: "purse", phrases: []string{"PURSE", "WALLET", "HANDBAG", "WASHBAG", "SHOULDER BAG", "POUCH", "CASE", "COSMETIC BAG", "PENCIL CASE", "TOILETRY BAG", "PASSPORT COVER"}, shadow: 92, draw: drawPurse},
		{is: "mug", phrases: []string{"MUG", "BEAKER", "TUMBLER", "EGG CUP", "TOOTHBRUSH HOLDER", "TOOTH BRUSH HOLDER", "POPCORN HOLDER", "PEN HOLDER", "HOLDER", "TIDY", "CUP"}, sets: true, shadow: 74, draw: drawMug},
		{is: "teacup", phrases: []string{"TEACUP", "TEA CUP", "SAUCER", "TEACUP AND SAUCER", "CUP SAUCER", "COFFEE CUP", "CUP AND SAUCER"}, colors: []string{ivory, white}, sets: true, shadow: 116, draw: drawTeacup},
		{is: "tlight", phrases: []string{"TLIGHT", "TLIGHT HOLDER", "TLIGHT HOLDER HANGING", "TLIGHT GLASS", "HANGING TLIGHT", "VOTIVE", "CANDLE HOLDER", "CANDLEHOLDER", "TEALIGHT HOLDER", "CANDLE GLASS", "HURRICANE", "TLIGHT CANDLE HOLDER", "CANDLE LAMP"}, colors: glass, sets: true, shadow: 70, draw: drawTlight},
		{is: "candle", phrases: []string{"CANDLE", "CANDLESTICK", "CANDLEPOT", "CANDLE POT", "CANDLESTICK CANDLE"}, colors: []string{ivory, cream, rose, lilac, sage}, sets: true, shadow: 80, draw: drawCandle},
		{is: "lantern", phrases: []string{"LANTERN", "CANDLE LANTERN"}, colors: []string{white, zinc, ivory, "#9cb3ac"}, plain: true, sets: true, shadow: 84, draw: drawLantern},
		{is: "clock", phrases: []string{"CLOCK", "ALARM CLOCK", "WATCH"}, colors: []string{red, green, rose, ivory, sky}, plain: true, shadow: 84, draw: drawClock},
		{is: "cakestand", phrases: []string{"CAKESTAND", "CAKE STAND", "CAKESTAND TIER", "CAKESTAND 3 TIER", "CAKE PLATE", "CUPCAKE STAND", "CAKESTAND LARGE"}, colors: []string{ivory, rose, sky}, shadow: 96, draw: drawCakestand},
		{is: "cupcake", phrases: []string{"CAKE CASE", "FAIRY CAKE CASE", "CUPCAKE", "CAKE", "BAKING SET", "BAKING CASE", "MUFFIN", "CAKES", "BAKING", "CAKE CANDLE"}, sets: true, shadow: 66, draw: drawCupcake},
		{is: "tin", phrases: []string{"TIN", "CAKE TIN", "SPICE TIN", "STORAGE TIN", "BREAD BIN", "BIN", "CANISTER", "BISCUIT TIN", "PLASTERS IN TIN", "PLASTER"}, sets: true, shadow: 92, draw: drawTin},
		{is: "lunchbox", phrases: []string{"LUNCH BOX", "LUNCHBOX", "SNACK BOX", "SNACK BOXE", "SUITCASE", "VANITY CASE"}, shadow: 110, draw: drawLunchbox},
		{is: "drawers", phrases: []string{"DRAWER", "CABINET", "CHEST", "CHEST DRAWER", "DRAWER CABINET", "CUPBOARD", "SIDEBOARD"}, colors: wooden, plain: true, shadow: 110, draw: drawDrawers},
		{is: "box", phrases: []string{"BOX", "BOXE", "TRINKET BOX", "RECIPE BOX", "TISSUE BOX", "KEEPSAKE", "TRINKET", "TRINKET POT", "JEWELLERY BOX", "CRATE", "GAME", "DOMINOES", "JIGSAW", "PUZZLE", "SNAP CARD", "PLAYING CARD", "MATCHBOX", "MATCHES"}, sets: true, shadow: 104, draw: drawBox},
		{is: "frame", phrases: []string{"FRAME", "PHOTO FRAME", "PICTURE FRAME", "CORNICE", "PICTURE", "CANVAS", "WALL ART", "PRINT", "PHOTO", "PHOTO CUBE", "ALBUM COVER", "MEMO BOARD", "MEMOBOARD", "NOTICEBOARD", "PINBOARD"}, colors: []string{white, wood, ivory, gold, zinc}, plain: true, shadow: 100, draw: drawFrame},
		{is: "mirror", phrases: []string{"MIRROR"}, colors: []string{white, gold, wood, ivory, zinc}, plain: true, shadow: 70, draw: drawMirror},
		{is: "bunting", phrases: []string{"BUNTING", "PAPER BUNTING", "FLAG", "PAPER CHAIN", "PAPER CHAIN KIT", "PENNANT"}, hangs: true, draw: drawBunting},
		{is: "garland", phrases: []string{"GARLAND", "LIGHT GARLAND", "CURTAIN", "MOBILE", "WIND CHIME", "WINDCHIME", "STRING", "DECORATION GARLAND"}, hangs: true, plain: true, draw: drawGarland},
		{is: "lights", phrases: []string{"LIGHTS", "FAIRY LIGHT", "STRING OF LIGHT", "CHILLI LIGHT", "STRING LIGHT"}, hangs: true, plain: true, draw: drawLights},
		{is: "hotwater", phrases: []string{"HOT WATER BOTTLE", "WATER BOTTLE", "BOTTLE COVER", "HOTTIE"}, shadow: 80, draw: drawHotWater},
		{is: "bottle", phrases: []string{"BOTTLE", "DECANTER", "VASE", "PERFUME BOTTLE", "SHAMPOO", "BUBBLE BATH", "LOTION", "BATH ESSENCE", "BUD VASE", "OIL", "DIFFUSER"}, colors: glass, sets: true, shadow: 62, draw: drawBottle},
		{is: "umbrella", phrases: []string{"UMBRELLA", "PARASOL", "PAPER PARASOL"}, hangs: true, draw: drawUmbrella},
		{is: "doll", phrases: []string{"DOLL", "NESTING DOLL", "DOLLY BATH", "NESTING BOX"}, colors: []string{red, rose, blue, green, plum}, sets: true, shadow: 76, draw: drawDoll},
		{is: "hook", phrases: []string{"HOOK", "WALL HOOK", "DOOR HOOK", "TOWEL HOLDER", "COAT RACK", "RACK", "KEY RACK", "COAT HOOK", "TOILET ROLL HOLDER", "DOOR KNOCKER", "BRACKET", "HOOK HANGER"}, colors: metal, plain: true, hangs: true, draw: drawHook},
		{is: "knob", phrases: []string{"DRAWER KNOB", "KNOB", "DOOR KNOB", "HANDLE", "DOORKNOB", "MAGNET", "FRIDGE MAGNET", "BADGE", "BUTTON", "STICKER"}, hangs: true, draw: drawKnob},
		{is: "hanger", phrases: []string{"HANGER", "COAT HANGER", "CLOTHES HANGER"}, hangs: true, draw: drawHanger},
		{is: "sign", phrases: []string{"SIGN", "METAL SIGN", "PLAQUE", "WOODEN SIGN", "WALL PLAQUE", "HANGING SIGN", "DOOR SIGN", "TIN SIGN"}, colors: []string{ivory, sky, sage, rose, ink, red}, plain: true, hangs: true, draw: drawSign},
		{is: "chalkboard", phrases: []string{"CHALKBOARD", "BLACK BOARD", "BLACKBOARD", "BLACK BOARD ANT WHITE FINISH", "SLATE", "MEMO"}, colors: []string{wood, white}, plain: true, hangs: true, draw: drawChalkboard},
		{is: "blocks", phrases: []string{"BLOCK WORD", "BUILDING BLOCK WORD", "BLOCK", "LETTER", "ALPHABET", "LETTERS"}, colors: []string{ivory, wood, white}, plain: true, shadow: 130, draw: drawBlocks},
		{is: "tree", grown: true, phrases: []string{"CHRISTMAS TREE", "TREE", "XMAS TREE", "TABLE TREE"}, colors: []string{forest, green, white}, plain: true, sets: true, shadow: 84, draw: drawTree},
		{is: "wreath", grown: true, phrases: []string{"WREATH", "CHRISTMAS WREATH", "GARLAND WREATH"}, colors: []string{forest, green, wicker}, plain: true, hangs: true, draw: drawWreath},
		{is: "bauble", phrases: []string{"BAUBLE", "CHRISTMAS DECORATION", "TREE DECORATION", "DECORATION", "BALL", "PENDANT DECORATION", "DECORATIONS", "ORNAMENT", "HANGING DECORATION"}, colors: []string{red, gold, forest, zinc, plum}, hangs: true, draw: drawBauble},
		{is: "jar", phrases: []string{"JAR", "JAM JAR", "JAM MAKING SET", "JAM MAKING", "SPICE JAR", "SWEETIE JAR", "STORAGE JAR", "POT JAM", "TREASURE JAR", "MEMORY JAR"}, colors: []string{red, rose, orange, plum, yellow}, sets: true, shadow: 74, draw: drawJar},
		{is: "jug", phrases: []string{"JUG", "PITCHER", "MILK JUG", "CREAMER"}, sets: true, shadow: 78, draw: drawJug},
		{is: "watering", phrases: []string{"WATERING CAN", "CAN"}, colors: []string{sage, sky, zinc, cream}, shadow: 88, draw: drawWatering},
		{is: "pot", phrases: []string{"POT", "PLANTER", "HERB POT", "FLOWER POT", "PLANT POT", "BUCKET", "PAIL", "POTS", "HERB", "PLANT", "SEED", "GROW YOUR OWN", "TOPIARY", "GARDENERS"}, colors: []string{"#c9795a", zinc, sage, ivory}, sets: true, shadow: 76, draw: drawPot},
		{is: "bowl", phrases: []string{"BOWL", "DISH", "BASIN", "TRINKET DISH", "GLASS BOWL", "SUNDAE DISH", "MOULD", "JELLY MOULD"}, sets: true, shadow: 84, draw: drawBowl},
		{is: "plate", phrases: []string{"PLATE", "PAPER PLATE", "DINNER PLATE", "SIDE PLATE", "COASTER", "PLACE MAT", "PLACEMAT", "TILE", "ASHTRAY", "TRAY", "DESSERT PLATE", "CHARGER"}, colors: []string{ivory, white, sky, rose}, hangs: true, draw: drawPlate},
		{is: "napkins", phrases: []string{"NAPKIN", "PAPER NAPKIN", "TISSUE", "SERVIETTE", "POCKET TISSUE", "WIPE", "FLANNEL", "GUEST TOWEL", "HANDKERCHIEF"}, colors: paper, shadow: 108, draw: drawNapkins},
		{is: "doily", phrases: []string{"DOILY", "DOILIES", "DOILIE", "PAPER DOILY"}, colors: []string{white, ivory, rose, sky}, hangs: true, plain: true, draw: drawDoily},
		{is: "cutter", phrases: []string{"COOKIE CUTTER", "CUTTER", "BISCUIT CUTTER", "PASTRY CUTTER"}, colors: []string{zinc, copper, red}, plain: true, hangs: true, draw: drawCutter},
		{is: "cushion", phrases: []string{"CUSHION", "CUSHION COVER", "PILLOW", "HAND WARMER", "WARMER", "PIN CUSHION", "DOORSTOP", "DOOR STOP", "BEAN BAG", "QUILT", "THROW", "BLANKET", "EYE MASK"}, shadow: 106, draw: drawCushion},
		{is: "doormat", phrases: []string{"DOORMAT", "DOOR MAT", "RUG", "MAT", "BATH MAT", "CARPET"}, colors: []string{wicker, brown, red, slate}, shadow: 0, draw: drawDoormat},
		{is: "necklace", phrases: []string{"NECKLACE", "NECKL", "PENDANT", "LARIAT", "BEAD", "BEADS", "CHAIN", "CHARM", "PHONE CHARM", "BAG CHARM", "ROSARY", "LOCKET"}, hangs: true, plain: true, draw: drawNecklace},
		{is: "bracelet", phrases: []string{"BRACELET", "BANGLE", "RING", "EXPANDABLE RING", "BROOCH", "HAIR BOBBLE", "ANKLET"}, hangs: true, plain: true, draw: drawBracelet},
		{is: "earrings", phrases: []string{"EARRING", "EARRINGS", "HOOP EARRING", "DROP EARRING"}, hangs: true, plain: true, draw: drawEarrings},
		{is: "hair", phrases: []string{"HAIR CLIP", "HAIR GRIP", "HAIR COMB", "HAIRCLIP", "HAIR SLIDE", "CLIP", "SLIDE", "HEADBAND", "TIARA", "BOW", "RIBBON BOW"}, hangs: true, draw: drawBow},
		{is: "card", phrases: []string{"CARD", "GREETING CARD", "BIRTHDAY CARD", "CHRISTMAS CARD", "CARD HOLDER", "INVITE", "INVITATION", "POSTCARD", "ENVELOPE", "STATIONERY SET", "WRITING SET", "GIFT TAG", "TAG", "LUGGAGE TAG", "LABEL", "BOOKMARK"}, colors: []string{ivory, white, rose, sky}, shadow: 84, draw: drawCard},
		{is: "wrap", phrases: []string{"WRAP", "GIFT WRAP", "WRAPPING PAPER", "TUBE", "PAPER", "FABRIC", "WALLPAPER", "CREPE PAPER"}, sets: false, shadow: 120, draw: drawWrap},
		{is: "notebook", phrases: []string{"NOTEBOOK", "BOOK", "SKETCHBOOK", "JOURNAL", "DIARY", "CALENDAR", "PAD", "MEMO PAD", "NOTE BOOK", "ORGANISER", "PLANNER", "ADDRESS BOOK", "COLOURING BOOK", "ALBUM", "PHOTO ALBUM", "SCRAPBOOK", "PASSPORT"}, shadow: 94, draw: drawNotebook},
		{is: "pencils", phrases: []string{"PENCIL", "PEN", "CRAYON", "PAINT SET", "COLOURING SET", "PAINT", "CHALK STICK", "CHALK", "COLOURING PENCIL", "RULER", "FELT TIP", "INCENSE", "INCENSE STICK"}, colors: paper, shadow: 74, draw: drawPencils},
		{is: "cutlery", phrases: []string{"CUTLERY", "CUTLERY SET", "SPOON", "FORK", "KNIFE", "TEASPOON", "SPREADER", "CHOPSTICK", "CAKE SLICE", "WHISK", "SPATULA", "LADLE", "MEASURING SPOON"}, colors: []string{zinc, rose, ivory, sky}, plain: true, hangs: true, draw: drawCutlery},
		{is: "pan", phrases: []string{"PAN", "FRYING PAN", "SAUCEPAN", "CASSEROLE"}, colors: []string{ink, red, rose}, plain: true, hangs: true, draw: drawPan},
		{is: "scales", phrases: []string{"SCALE", "KITCHEN SCALE", "WEIGHING SCALE"}, colors: []string{ivory, rose, sage}, plain: true, shadow: 86, draw: drawScales},
		{is: "teapot", phrases: []string{"TEAPOT", "TEA POT", "TEA COSY", "COSY", "TEA SET", "KETTLE", "COFFEE POT", "TEA FOR ONE", "EGG COSY", "CAFETIERE"}, shadow: 92, draw: drawTeapot},
		{is: "apron", phrases: []string{"APRON", "TABARD", "PINAFORE", "DRESS"}, hangs: true, draw: drawApron},
		{is: "towel", phrases: []string{"TEA TOWEL", "TOWEL", "TABLECLOTH", "TABLE RUNNER", "RUNNER", "SCARF", "SARONG", "SHAWL", "OVEN GLOVE", "GLOVE", "SOCK", "BLIND"}, hangs: true, draw: drawTowel},
		{is: "stocking", phrases: []string{"STOCKING", "CHRISTMAS STOCKING"}, colors: []string{red, ivory, forest}, hangs: true, draw: drawStocking},
		{is: "basket", phrases: []string{"BASKET", "HAMPER", "PICNIC BASKET", "PICNIC HAMPER", "TRUG", "PICNIC SET"}, colors: []string{wicker, "#b98d55"}, shadow: 112, draw: drawBasket},
		{is: "lamp", phrases: []string{"LAMP", "LAMPSHADE", "LAMP SHADE", "CHANDELIER", "SHADE", "CANDLE SHADE", "TABLE LAMP"}, shadow: 66, draw: drawLamp},
		{is: "nightlight", phrases: []string{"NIGHT LIGHT", "LED NIGHT LIGHT", "LIGHT", "TORCH", "LED"}, colors: []string{red, rose, sky}, plain: true, shadow: 76, draw: drawNightLight},
		{is: "reel", phrases: []string{"REEL", "RIBBON", "RIBBON REEL", "TAPE", "TAPE MEASURE", "MEASURING TAPE", "MASKING TAPE", "SEWING KIT", "SEWING BOX", "TWINE", "LACE", "PACKING TAPE", "HABERDASHERY", "KNITTING"}, sets: false, shadow: 82, draw: drawReel},
		{is: "pegs", phrases: []string{"PEG", "CLOTHES PEG", "WASHING LINE"}, hangs: true, plain: true, draw: drawPegs},
		{is: "house", phrases: []string{"HOUSE", "BIRD HOUSE", "BIRDHOUSE", "PLAYHOUSE", "COTTAGE", "BUILDING", "SHED", "BIRD TABLE", "BIRD BOX", "NESTING BOX", "FEEDER", "BIRD FEEDER", "SEED HOUSE", "DOVECOTE", "TENT", "WIGWAM"}, colors: []string{sky, rose, ivory, sage, wood}, plain: true, shadow: 96, draw: drawHouse},
		{is: "bank", phrases: []string{"MONEY BANK", "PIGGY BANK", "MONEY BOX", "BANK", "SAVINGS"}, colors: []string{rose, sky, ivory}, shadow: 92, draw: drawPiggy},
		{is: "balloon", phrases: []string{"BALLOON"}, colors: paper, hangs: true, draw: drawBalloons},
		{is: "fan", phrases: []string{"FAN", "SILK FAN", "SANDALWOOD FAN"}, hangs: true, draw: drawFan},
		{is: "glider", phrases: []string{"GLIDER", "PLANE", "AEROPLANE", "AIRCRAFT", "HELICOPTER", "KITE"}, hangs: true, plain: true, draw: drawGlider},
		{is: "windmill", phrases: []string{"WINDMILL"}, hangs: true, draw: drawWindmill},
		{is: "keyfob", phrases: []string{"KEY FOB", "KEYRING", "KEY RING", "KEY CHAIN", "KEY"}, hangs: true, draw: drawKeyfob},
		{is: "soap", phrases: []string{"SOAP", "BATH SALT", "BATH BOMB", "SPONGE", "SOAP HOLDER"}, colors: []string{rose, sage, lilac, cream}, shadow: 104, draw: drawSoap},
		{is: "bell", phrases: []string{"BELL", "DOORBELL", "COW BELL", "JINGLE BELL"}, colors: []string{gold, zinc, red}, plain: true, hangs: true, draw: drawBell},
		{is: "glassware", phrases: []string{"GLASS", "TEA GLASS", "WINE GLASS", "GOBLET", "CHAMPAGNE GLASS", "TUMBLERS", "SHOT GLASS", "FLUTE"}, colors: glass, plain: true, sets: true, shadow: 66, draw: drawGlass},
	}
	beings = []motif{
		{is: "doll", phrases: []string{"BABUSHKA", "DOLLY", "DOLLY GIRL", "SPACEBOY", "SOLDIER", "SANTA", "ANGEL", "FAIRY", "BOUDOIR", "PRINCESS"}, colors: []string{red, rose, blue, green, plum}, sets: true, shadow: 76, draw: drawDoll},
		{is: "heart", phrases: []string{"HEART", "HEARTS", "VALENTINE", "SWEETHEART"}, colors: []string{red, rose, ivory}, hangs: true, draw: drawHeart},
		{is: "star", phrases: []string{"STAR", "SNOWFLAKE", "SPARKLER"}, colors: []string{gold, ivory, zinc, red}, hangs: true, draw: drawStar},
		{is: "bird", phrases: []string{"BIRD", "DOVE", "ROBIN", "LOVEBIRD", "PARROT", "PEACOCK", "SPARROW", "DUCK", "GOOSE", "FLAMINGO"}, shadow: 0, draw: drawBird},
		{is: "hen", phrases: []string{"HEN", "CHICK", "CHICKEN", "COCKEREL", "ROOSTER", "OWL", "PENGUIN"}, colors: []string{yellow, ivory, brown, orange}, shadow: 84, draw: drawHen},
		{is: "rabbit", phrases: []string{"RABBIT", "BUNNY", "HARE", "BUNNIES", "MOUSE", "BEAR", "TEDDY", "CAT", "DOG", "SHEEP", "FOX", "MONKEY", "ELEPHANT", "PIG", "COW", "REINDEER", "HORSE", "DONKEY", "LAMB", "FROG", "DINOSAUR", "BADGER", "SQUIRREL", "PANDA"}, colors: []string{ivory, "#cdb49a", "#c3bfb9", rose}, plain: true, shadow: 84, draw: drawRabbit},
		{is: "butterfly", phrases: []string{"BUTTERFLY", "BUTTERFLIES", "DRAGONFLY", "BEE", "LADYBIRD", "MOTH"}, hangs: true, plain: true, draw: drawButterfly},
		{is: "egg", phrases: []string{"EGG", "EASTER EGG"}, sets: true, shadow: 66, draw: drawEgg},
		{is: "flower", grown: true, phrases: []string{"FLOWER", "ROSE", "DAISY", "TULIP", "BLOSSOM", "SUNFLOWER", "POPPY", "ORCHID", "LILY", "LAVENDER", "BOUQUET", "STEM", "POSY", "PEONY", "PICK", "BRANCH", "SPRAY", "HYACINTH", "CARNATION"}, colors: []string{rose, red, yellow, lilac, white}, plain: true, shadow: 58, draw: drawFlower},
		{is: "toadstool", phrases: []string{"TOADSTOOL", "MUSHROOM"}, colors: []string{red}, plain: true, shadow: 76, draw: drawNightLight},
		{is: "lovely-tree", grown: true, phrases: []string{"CHRISTMAS", "XMAS", "ADVENT"}, colors: []string{forest, green}, plain: true, shadow: 84, draw: drawTree},
		// Fields of goods, as categories are called.
		{is: "watering", phrases: []string{"GARDEN", "GARDENING", "OUTDOOR"}, colors: []string{sage, sky, zinc, cream}, shadow: 88, draw: drawWatering},
		{is: "necklace", phrases: []string{"JEWELLERY", "JEWELRY", "ACCESSORIES"}, hangs: true, plain: true, draw: drawNecklace},
		{is: "scales", phrases: []string{"KITCHEN"}, colors: []string{ivory, rose, sage}, plain: true, shadow: 86, draw: drawScales},
		{is: "teapot", phrases: []string{"TABLEWARE", "TEA", "COFFEE", "BREAKFAST"}, shadow: 92, draw: drawTeapot},
		{is: "blocks", phrases: []string{"TOY", "CHILDREN", "KIDS"}, colors: []string{ivory, wood, white}, plain: true, shadow: 130, draw: drawBlocks},
		{is: "bunting", phrases: []string{"PARTY", "CELEBRATION"}, hangs: true, draw: drawBunting},
		{is: "basket", phrases: []string{"STORAGE"}, colors: []string{wicker}, shadow: 112, draw: drawBasket},
		{is: "card", phrases: []string{"STATIONERY", "WRITING"}, colors: []string{ivory, white, rose, sky}, shadow: 84, draw: drawCard},
		{is: "kit", phrases: []string{"KIT", "CRAFT", "FELTCRAFT", "SEWING"}, shadow: 82, draw: drawReel},
	}
	return things, beings
}
