package picture

// motif is a thing that can be drawn, standing on the table with its foot at
// y = 322, or hanging from the upper edge.
type motif struct {
	is      string   // its name; also a figure's, when the motif is that figure
	phrases []string // what it is called, in upper case
	colors  []string // what it is usually made of; empty for anything
	hangs   bool     // hangs in the air instead of standing on the table
	sets    bool     // drawn several times for "set of 3"
	plain   bool     // its surface takes no pattern
	grown   bool     // a plant: seasons and materials do not color it
	written bool     // carries words: what stands before it may be any sentence
	leads   bool     // may be named first, before what is on it: "mug save the planet"
	firm    bool     // leads whatever follows: "doormat respectable house"
	shadow  int      // half the width of its shadow
	draw    func(*drawing)
}

// The label that a name without a drawable thing gets, and what a product without
// any name gets.
var (
	label  = motif{is: "title", draw: drawTitle}
	parcel = motif{is: "parcel", shadow: 96, draw: drawParcel}
)

// things are what a name can be about; beings are figures, which decorate things
// and are things themselves only where nothing else is named; fields of goods are
// drawn only where they are the whole name, as those of categories are.
var things, beings, fields = motifs()

func motifs() (things, beings, fields []motif) {
	glass := []string{"#a9cdd6", "#d9b3bd", "#c9d8c0", "#e6cf9a", "#bfb2d6"}
	metal := []string{zinc, "#d9d4c8", gold, "#9fb3b0"}
	wooden := []string{wood, white, ivory, sage, sky}
	paper := []string{rose, sky, sage, yellow, red}
	things = []motif{
		{is: "lunchbag", phrases: []string{"LUNCH BAG", "COOL BAG"}, shadow: 92, draw: drawLunchBag, leads: true, firm: true},
		{is: "bag", phrases: []string{"BAG", "SHOPPER", "TOTE"}, shadow: 104, draw: drawBag},
		{is: "bag", phrases: []string{"JUMBO BAG", "CHARLOTTE BAG", "RECYCLING BAG", "JUMBO STORAGE BAG", "JUMBO SHOPPER", "SHOPPING BAG", "TOTE BAG"}, shadow: 104, draw: drawBag, leads: true, firm: true},
		{is: "purse", phrases: []string{"PURSE", "RING PURSE", "HANDBAG", "CLUTCH BAG", "COIN PURSE"}, shadow: 92, draw: drawPurse},
		{is: "pouch", phrases: []string{"POUCH", "PENCIL CASE", "COSMETIC BAG", "MAKE UP BAG", "MAKEUP BAG", "WASHBAG", "WASH BAG", "TOILETRY BAG", "TOILET BAG", "GLASSES CASE"}, shadow: 108, draw: drawPouch, leads: true},
		{is: "wallet", phrases: []string{"WALLET", "CARD WALLET", "TRAVEL CARD WALLET", "PASSPORT COVER", "PASSPORT HOLDER"}, shadow: 108, draw: drawWallet, leads: true, firm: true},
		{is: "mug", phrases: []string{"MUG", "COFFEE MUG", "TEA MUG"}, sets: true, shadow: 74, draw: drawMug, leads: true},
		{is: "teacup", phrases: []string{"TEACUP", "TEA CUP", "TEACUP AND SAUCER", "COFFEE CUP", "CUP AND SAUCER", "TEACUP SAUCER", "CUP SAUCER"}, colors: []string{ivory, white}, sets: true, shadow: 116, draw: drawTeacup, leads: true},
		{is: "beaker", phrases: []string{"BEAKER", "PAPER CUP", "TUMBLER", "CUP", "PARTY CUP", "TOOTHBRUSH HOLDER"}, sets: true, shadow: 60, draw: drawBeaker},
		{is: "popcorn", phrases: []string{"POPCORN HOLDER", "POPCORN BOX"}, sets: true, shadow: 70, draw: drawPopcorn},
		{is: "eggcup", phrases: []string{"EGG CUP"}, sets: true, shadow: 56, draw: drawEggCup},
		{is: "tlight", phrases: []string{"TLIGHT HOLDER", "TLIGHT HOLDER HANGING", "TLIGHT GLASS", "HANGING TLIGHT", "VOTIVE", "VOTIVE HOLDER", "CANDLE HOLDER", "CANDLEHOLDER", "TEALIGHT HOLDER", "CANDLE GLASS", "TLIGHT CANDLE HOLDER", "TLIGHT HLDR", "TLIGHT GLASS FLUTED", "TLIGHT JAR", "TLIGHT LANTERN"}, colors: glass, sets: true, shadow: 70, draw: drawTlight},
		{is: "tealight", phrases: []string{"TLIGHT", "TLIGHT CANDLE", "TEALIGHT", "TEALIGHT CANDLE"}, colors: []string{ivory, cream, rose, sage}, plain: true, sets: true, shadow: 84, draw: drawTealight},
		{is: "candle", phrases: []string{"CANDLE", "PILLAR CANDLE", "PILLAR", "CANDLEPOT CANDLE"}, colors: []string{ivory, cream, rose, lilac, sage}, sets: true, shadow: 80, draw: drawCandle},
		{is: "sticks", phrases: []string{"PARTY CANDLE", "BIRTHDAY CANDLE", "CAKE CANDLE", "CHALK STICK", "CHALK", "CRAYON"}, colors: paper, shadow: 132, draw: drawSticks},
		{is: "lantern", phrases: []string{"LANTERN", "CANDLE LANTERN"}, colors: []string{white, zinc, ivory, "#9cb3ac"}, plain: true, sets: true, shadow: 84, draw: drawLantern},
		{is: "paperlantern", phrases: []string{"PAPER LANTERN", "CHINESE LANTERN", "PAPER LAMPSHADE"}, colors: []string{red, ivory, rose, sky}, hangs: true, draw: drawPaperLantern},
		{is: "clock", phrases: []string{"CLOCK", "ALARM CLOCK", "WALL CLOCK", "ALARM CLOCK BAKELIKE"}, colors: []string{red, green, rose, ivory, sky}, plain: true, shadow: 84, draw: drawClock, leads: true},
		{is: "cakestand", phrases: []string{"CAKESTAND", "CAKE STAND", "CAKESTAND TIER", "CAKESTAND 3 TIER", "CAKESTAND 2 TIER", "CUPCAKE STAND", "3 TIER CAKE STAND", "2 TIER CAKE STAND"}, colors: []string{ivory, rose, sky}, shadow: 96, draw: drawCakestand, leads: true},
		{is: "cases", phrases: []string{"CAKE CASE", "FAIRY CAKE CASE", "BAKING CASE", "CUPCAKE CASE", "MUFFIN CASE", "BUN CASE"}, shadow: 130, draw: drawCases, leads: true},
		{is: "tin", phrases: []string{"TIN", "CAKE TIN", "SPICE TIN", "STORAGE TIN", "BISCUIT TIN", "TEA TIN", "ROUND SNACK BOX", "CANISTER"}, sets: true, shadow: 92, draw: drawTin},
		{is: "tin", phrases: []string{"PLASTER IN TIN", "ROUND SNACK BOX SET", "CAKE TIN"}, sets: true, shadow: 92, draw: drawTin, leads: true},
		{is: "lunchbox", phrases: []string{"LUNCH BOX", "LUNCHBOX", "SUITCASE", "VANITY CASE"}, shadow: 110, draw: drawLunchbox, leads: true, firm: true},
		{is: "drawers", phrases: []string{"DRAWER CABINET", "CHEST DRAWER", "CHEST OF DRAWER", "CABINET", "DRAWER CHEST"}, colors: wooden, plain: true, shadow: 110, draw: drawDrawers},
		{is: "box", phrases: []string{"BOX", "TRINKET BOX", "RECIPE BOX", "TISSUE BOX", "STORAGE BOX", "JEWELLERY BOX", "KEEPSAKE BOX", "GIFT BOX"}, sets: true, shadow: 104, draw: drawBox},
		{is: "cards", phrases: []string{"PLAYING CARD", "SNAP CARD", "CARD GAME", "SNAP"}, shadow: 120, draw: drawCards},
		{is: "frame", phrases: []string{"FRAME", "PHOTO FRAME", "PICTURE FRAME", "CORNICE", "PICTURE", "WALL ART", "COVER FRAME", "SINGLE FRAME"}, colors: []string{white, wood, ivory, gold, zinc}, plain: true, shadow: 100, draw: drawFrame},
		{is: "mirror", phrases: []string{"MIRROR", "WALL MIRROR"}, colors: []string{white, gold, wood, ivory, zinc}, plain: true, shadow: 70, draw: drawMirror},
		{is: "bunting", phrases: []string{"BUNTING", "PAPER BUNTING", "PARTY BUNTING"}, hangs: true, draw: drawBunting, leads: true},
		{is: "paperchain", phrases: []string{"PAPER CHAIN", "PAPER CHAIN KIT"}, colors: paper, hangs: true, plain: true, draw: drawPaperChain, leads: true, firm: true},
		{is: "garland", phrases: []string{"GARLAND"}, hangs: true, plain: true, draw: drawGarland},
		{is: "lights", phrases: []string{"LIGHTS", "FAIRY LIGHT", "LIGHT GARLAND", "STRING OF LIGHT", "CHILLI LIGHT", "STRING LIGHT", "PARTY LIGHT"}, hangs: true, plain: true, draw: drawLights},
		{is: "lights", phrases: []string{"CHRISTMAS LIGHT"}, hangs: true, plain: true, draw: drawLights, leads: true, firm: true},
		{is: "hotwater", phrases: []string{"HOT WATER BOTTLE", "HOTTIE"}, shadow: 80, draw: drawHotWater, leads: true},
		{is: "bottle", phrases: []string{"BOTTLE", "PERFUME BOTTLE", "GLASS BOTTLE", "SCENT BOTTLE"}, colors: glass, sets: true, shadow: 62, draw: drawBottle},
		{is: "vase", phrases: []string{"VASE", "BUD VASE"}, colors: glass, sets: true, shadow: 66, draw: drawVase},
		{is: "umbrella", phrases: []string{"UMBRELLA", "PARASOL"}, hangs: true, draw: drawUmbrella},
		{is: "doll", phrases: []string{"NESTING DOLL", "RUSSIAN DOLL", "BABUSHKA DOLL"}, colors: []string{red, rose, blue, green, plum}, sets: true, shadow: 76, draw: drawDoll},
		{is: "hook", phrases: []string{"HOOK", "WALL HOOK", "DOOR HOOK", "COAT RACK", "COAT HOOK", "3 HOOK HANGER", "5 HOOK HANGER", "4 HOOK HANGER", "HOOK HANGER", "KEY RACK", "HOOK RACK"}, colors: metal, plain: true, hangs: true, draw: drawHook, leads: true},
		{is: "knob", phrases: []string{"DRAWER KNOB", "KNOB", "DOOR KNOB", "DOORKNOB"}, hangs: true, draw: drawKnob, leads: true},
		{is: "hanger", phrases: []string{"COAT HANGER", "CLOTHES HANGER", "CHILDRENS HANGER"}, hangs: true, draw: drawHanger},
		{is: "sign", phrases: []string{"SIGN", "PLAQUE", "WALL PLAQUE", "DOOR SIGN"}, colors: []string{ivory, sky, sage, rose, ink, red}, plain: true, hangs: true, written: true, draw: drawSign},
		{is: "sign", phrases: []string{"METAL SIGN", "TOILET SIGN"}, colors: []string{ivory, sky, sage, rose, ink, red}, plain: true, hangs: true, written: true, leads: true, draw: drawSign},
		{is: "chalkboard", phrases: []string{"CHALKBOARD", "BLACK BOARD", "BLACKBOARD", "BLACK BOARD ANT WHITE FINISH", "CHALK BOARD"}, colors: []string{wood, white}, plain: true, hangs: true, draw: drawChalkboard},
		{is: "blocks", phrases: []string{"BLOCK WORD", "BUILDING BLOCK WORD", "BUILDING BLOCK", "BLOCK LETTER"}, colors: []string{ivory, wood, white}, plain: true, written: true, shadow: 130, draw: drawBlocks},
		{is: "wreath", phrases: []string{"WREATH"}, grown: true, colors: []string{forest, green, wicker}, plain: true, hangs: true, draw: drawWreath},
		{is: "bauble", phrases: []string{"BAUBLE", "DISCO BALL"}, colors: []string{red, gold, forest, zinc, plum}, hangs: true, draw: drawBauble},
		{is: "jar", phrases: []string{"JAM JAR", "JAM MAKING SET", "JAM POT", "JAM MAKING"}, colors: []string{red, rose, orange, plum, yellow}, sets: true, shadow: 74, draw: drawJar, leads: true},
		{is: "storagejar", phrases: []string{"JAR", "STORAGE JAR", "SWEETIE JAR", "SPICE JAR", "TREASURE JAR", "MEMORY JAR", "BISCUIT JAR", "COOKIE JAR"}, sets: true, shadow: 80, draw: drawStorageJar},
		{is: "jug", phrases: []string{"JUG", "PITCHER", "MILK JUG", "CREAMER", "CREAM JUG"}, sets: true, shadow: 78, draw: drawJug},
		{is: "watering", phrases: []string{"WATERING CAN"}, colors: []string{sage, sky, zinc, cream}, shadow: 88, draw: drawWatering},
		{is: "pot", phrases: []string{"PLANTER", "HERB POT", "FLOWER POT", "PLANT POT", "HERB PLANTER", "POT PLANT", "FLOWERPOT"}, colors: []string{"#c9795a", zinc, sage, ivory}, sets: true, shadow: 76, draw: drawPot},
		{is: "bowl", phrases: []string{"BOWL", "GLASS BOWL"}, sets: true, shadow: 84, draw: drawBowl},
		{is: "plate", phrases: []string{"PLATE", "PAPER PLATE", "DINNER PLATE", "SIDE PLATE", "TEA PLATE", "TEA BAG PLATE", "DESSERT PLATE"}, colors: []string{ivory, white, sky, rose}, hangs: true, draw: drawPlate, leads: true},
		{is: "tissues", phrases: []string{"TISSUE", "POCKET TISSUE"}, colors: paper, shadow: 112, draw: drawTissues, leads: true},
		{is: "napkins", phrases: []string{"NAPKIN", "PAPER NAPKIN", "SERVIETTE", "FLANNEL", "HANDKERCHIEF"}, colors: paper, shadow: 108, draw: drawNapkins, leads: true},
		{is: "doily", phrases: []string{"DOILY", "DOILIE", "PAPER DOILY"}, colors: []string{white, ivory, rose, sky}, hangs: true, plain: true, draw: drawDoily},
		{is: "cutter", phrases: []string{"COOKIE CUTTER", "BISCUIT CUTTER", "PASTRY CUTTER"}, colors: []string{zinc, copper, red}, plain: true, hangs: true, draw: drawCutter},
		{is: "cushion", phrases: []string{"CUSHION", "CUSHION COVER", "PILLOW"}, shadow: 106, draw: drawCushion, leads: true},
		{is: "doormat", phrases: []string{"DOORMAT", "DOOR MAT", "RUG"}, colors: []string{wicker, brown, red, slate}, shadow: 0, draw: drawDoormat, leads: true, firm: true},
		{is: "necklace", phrases: []string{"NECKLACE", "NECKL", "PENDANT NECKLACE", "LARIAT"}, hangs: true, plain: true, draw: drawNecklace},
		{is: "bracelet", phrases: []string{"BRACELET", "BANGLE"}, hangs: true, plain: true, draw: drawBracelet},
		{is: "earrings", phrases: []string{"EARRING", "HOOP EARRING", "DROP EARRING"}, hangs: true, plain: true, draw: drawEarrings},
		{is: "bow", phrases: []string{"BOW", "RIBBON BOW"}, hangs: true, draw: drawBow},
		{is: "card", phrases: []string{"CHRISTMAS CARD", "INVITE", "INVITATION", "POSTCARD", "EASTER CARD", "THANK YOU CARD"}, colors: []string{ivory, white, rose, sky}, shadow: 84, draw: drawCard},
		{is: "card", phrases: []string{"PARTY INVITE", "BIRTHDAY CARD", "GREETING CARD"}, colors: []string{ivory, white, rose, sky}, shadow: 84, draw: drawCard, leads: true, firm: true},
		{is: "card", phrases: []string{"CARD"}, colors: []string{ivory, white, rose, sky}, shadow: 84, draw: drawCard, leads: true},
		{is: "tag", phrases: []string{"TAG", "GIFT TAG", "LUGGAGE TAG"}, colors: []string{cream, rose, sky, sage}, hangs: true, draw: drawTag},
		{is: "wrap", phrases: []string{"WRAP", "GIFT WRAP", "WRAPPING PAPER", "GIFTWRAP"}, shadow: 120, draw: drawWrap, leads: true, firm: true},
		{is: "notebook", phrases: []string{"NOTEBOOK", "BOOK", "JOURNAL", "DIARY", "NOTE BOOK", "ADDRESS BOOK", "COLOURING BOOK", "ALBUM", "PHOTO ALBUM", "SCRAPBOOK"}, shadow: 94, draw: drawNotebook, leads: true},
		{is: "pencils", phrases: []string{"PENCIL"}, colors: paper, shadow: 74, draw: drawPencils},
		{is: "pencils", phrases: []string{"PENCIL SMALL TUBE", "PENCIL TALL TUBE", "PENCIL TUBE"}, colors: paper, shadow: 74, draw: drawPencils, leads: true, firm: true},
		{is: "pen", phrases: []string{"PEN", "BALLPOINT", "BIRO"}, colors: paper, hangs: true, draw: drawPen},
		{is: "paints", phrases: []string{"PAINT SET", "PAINTING SET", "MINI PAINT SET"}, colors: []string{red, sky, rose, slate}, shadow: 130, draw: drawPaints, leads: true},
		{is: "scissors", phrases: []string{"SCISSOR"}, colors: []string{red, rose, blue, ink}, plain: true, hangs: true, draw: drawScissors},
		{is: "cutlery", phrases: []string{"CUTLERY", "CUTLERY SET", "CHILDREN CUTLERY"}, colors: []string{zinc, rose, ivory, sky}, plain: true, hangs: true, draw: drawCutlery, leads: true},
		{is: "pan", phrases: []string{"FRYING PAN"}, colors: []string{ink, red, rose}, plain: true, hangs: true, draw: drawPan},
		{is: "scales", phrases: []string{"KITCHEN SCALE", "WEIGHING SCALE"}, colors: []string{ivory, rose, sage}, plain: true, shadow: 86, draw: drawScales},
		{is: "teapot", phrases: []string{"TEAPOT", "TEA POT", "COFFEE POT"}, shadow: 92, draw: drawTeapot, leads: true},
		{is: "apron", phrases: []string{"APRON"}, hangs: true, draw: drawApron, leads: true},
		{is: "towel", phrases: []string{"TEA TOWEL", "TOWEL", "HAND TOWEL", "GUEST TOWEL"}, hangs: true, draw: drawTowel, leads: true},
		{is: "stocking", phrases: []string{"STOCKING", "CHRISTMAS STOCKING"}, colors: []string{red, ivory, forest}, hangs: true, draw: drawStocking},
		{is: "basket", phrases: []string{"BASKET", "HAMPER", "PICNIC BASKET", "PICNIC HAMPER", "TRUG"}, colors: []string{wicker, "#b98d55"}, shadow: 112, draw: drawBasket},
		{is: "lamp", phrases: []string{"LAMP", "TABLE LAMP", "LAMPSHADE", "LAMP SHADE"}, shadow: 66, draw: drawLamp},
		{is: "nightlight", phrases: []string{"TOADSTOOL LED NIGHT LIGHT", "TOADSTOOL NIGHT LIGHT", "MUSHROOM NIGHT LIGHT", "TOADSTOOL BEDSIDE LIGHT", "TOADSTOOL LIGHT"}, colors: []string{red, rose, sky}, plain: true, shadow: 76, draw: drawNightLight},
		{is: "reel", phrases: []string{"RIBBON REEL"}, shadow: 82, draw: drawReel, leads: true, firm: true},
		{is: "reel", phrases: []string{"RIBBON", "RIBBON RUSTIC CHARM", "TWINE", "LACE RIBBON"}, shadow: 82, draw: drawReel, leads: true},
		{is: "pegs", phrases: []string{"PEG", "CLOTHES PEG", "PAPER PEG"}, hangs: true, plain: true, draw: drawPegs, leads: true},
		{is: "house", phrases: []string{"BIRD HOUSE", "BIRDHOUSE", "COTTAGE", "BIRD BOX", "HOUSE"}, colors: []string{sky, rose, ivory, sage, wood}, plain: true, shadow: 96, draw: drawHouse},
		{is: "bank", phrases: []string{"PIGGY BANK"}, colors: []string{rose, sky, ivory}, shadow: 92, draw: drawPiggy},
		{is: "balloon", phrases: []string{"BALLOON"}, colors: paper, hangs: true, draw: drawBalloons},
		{is: "fan", phrases: []string{"FAN", "SILK FAN", "SANDALWOOD FAN", "PAPER FAN"}, hangs: true, draw: drawFan},
		{is: "glider", phrases: []string{"GLIDER", "PLANE", "AEROPLANE"}, hangs: true, plain: true, draw: drawGlider, leads: true},
		{is: "windmill", phrases: []string{"WINDMILL"}, hangs: true, draw: drawWindmill},
		{is: "keyfob", phrases: []string{"KEY FOB", "KEYRING", "KEY RING", "KEY CHAIN", "KEYCHAIN"}, hangs: true, draw: drawKeyfob, leads: true},
		{is: "soap", phrases: []string{"SOAP"}, colors: []string{rose, sage, lilac, cream}, shadow: 104, draw: drawSoap},
		{is: "bell", phrases: []string{"BELL", "COW BELL", "JINGLE BELL"}, colors: []string{gold, zinc, red}, plain: true, hangs: true, draw: drawBell},
		{is: "tumbler", phrases: []string{"TEA GLASS", "SHOT GLASS", "TUMBLER GLASS", "GLASS TUMBLER", "GLASS BEAKER"}, colors: glass, plain: true, sets: true, shadow: 60, draw: drawTumbler, leads: true},
		{is: "glassware", phrases: []string{"WINE GLASS", "GOBLET", "COCKTAIL GLASS"}, colors: glass, plain: true, sets: true, shadow: 66, draw: drawGlass},
	}
	beings = []motif{
		{is: "doll", phrases: []string{"BABUSHKA"}, colors: []string{red, rose, blue, green, plum}, sets: true, shadow: 76, draw: drawDoll},
		{is: "heart", phrases: []string{"HEART", "SWEETHEART"}, colors: []string{red, rose, ivory}, hangs: true, draw: drawHeart},
		{is: "star", phrases: []string{"STAR"}, colors: []string{gold, ivory, zinc, red}, hangs: true, draw: drawStar},
		{is: "bird", phrases: []string{"BIRD", "DOVE", "ROBIN", "LOVEBIRD", "SPARROW"}, draw: drawBird},
		{is: "hen", phrases: []string{"HEN", "CHICKEN", "COCKEREL", "ROOSTER"}, colors: []string{yellow, ivory, brown, orange}, shadow: 84, draw: drawHen},
		{is: "rabbit", phrases: []string{"RABBIT", "BUNNY", "HARE"}, colors: []string{ivory, "#cdb49a", "#c3bfb9", rose}, plain: true, shadow: 84, draw: drawRabbit},
		{is: "butterfly", phrases: []string{"BUTTERFLY"}, hangs: true, plain: true, draw: drawButterfly},
		{is: "egg", phrases: []string{"EGG", "EASTER EGG"}, sets: true, shadow: 66, draw: drawEgg},
		{is: "flower", phrases: []string{"FLOWER", "DAISY"}, grown: true, colors: []string{rose, red, yellow, lilac, white}, plain: true, shadow: 58, draw: drawFlower},
		{is: "toadstool", phrases: []string{"TOADSTOOL"}, colors: []string{red}, plain: true, shadow: 76, draw: drawNightLight},
		{is: "tree", phrases: []string{"CHRISTMAS TREE", "XMAS TREE"}, grown: true, colors: []string{forest, green, white}, plain: true, sets: true, shadow: 84, draw: drawTree},
		{is: "cupcake", phrases: []string{"CAKE", "FAIRY CAKE", "CUPCAKE", "MUFFIN"}, sets: true, shadow: 66, draw: drawCupcake},
	}
	fields = []motif{
		{is: "parcel", phrases: []string{"GIFT", "PRESENT"}, shadow: 96, draw: drawParcel},
		{is: "tree", phrases: []string{"CHRISTMAS", "XMAS"}, grown: true, colors: []string{forest, green}, plain: true, shadow: 84, draw: drawTree},
		{is: "watering", phrases: []string{"GARDEN", "GARDENING", "OUTDOOR"}, colors: []string{sage, sky, zinc, cream}, shadow: 88, draw: drawWatering},
		{is: "necklace", phrases: []string{"JEWELLERY", "JEWELRY", "ACCESSORY"}, hangs: true, plain: true, draw: drawNecklace},
		{is: "scales", phrases: []string{"KITCHEN", "BAKING"}, colors: []string{ivory, rose, sage}, plain: true, shadow: 86, draw: drawScales},
		{is: "teapot", phrases: []string{"TABLEWARE", "TEA", "COFFEE"}, shadow: 92, draw: drawTeapot},
		{is: "blocks", phrases: []string{"TOY", "CHILDREN", "KIDS"}, colors: []string{ivory, wood, white}, plain: true, shadow: 130, draw: drawBlocks},
		{is: "bunting", phrases: []string{"PARTY", "CELEBRATION"}, hangs: true, draw: drawBunting},
		{is: "basket", phrases: []string{"STORAGE"}, colors: []string{wicker}, shadow: 112, draw: drawBasket},
		{is: "pencils", phrases: []string{"STATIONERY"}, colors: paper, shadow: 74, draw: drawPencils},
		{is: "bauble", phrases: []string{"ORNAMENT", "DECORATION"}, colors: []string{red, gold, forest, zinc, plum}, hangs: true, draw: drawBauble},
	}
	return things, beings, fields
}

// undrawn are things that there is no drawing of and whose words a drawing would
// mistake: a mug tree is no tree, a tea bag no bag.
var undrawn = []string{
	"TEA BAG", "PUNCH BAG", "SLEEPING BAG", "BEAN BAG", "PEG BAG", "MUSIC BOX", "POST BOX", "LETTER BOX",
	"MONEY BOX", "SNACK BOX", "MATCH BOX", "WINDOW BOX", "SEWING BOX", "CASH BOX", "BIRD BATH", "DUST PAN",
	"OVEN GLOVE", "MUG TREE", "CARD HOLDER", "CARD STAND", "NIGHT LIGHT", "JELLY MOULD", "MIRROR MOBILE", "WATER BOTTLE",
	"BABY BOTTLE", "SPRAY BOTTLE", "TRINKET POT", "TEA TRAY", "CUP HOOK", "PAPER TOWEL", "BOOK END", "BOOK MARK",
	"PLATE RACK", "CHRISTMAS CRACKER", "GIFT SET", "TEA SET", "PICNIC SET", "SEWING KIT", "LIP GLOSS", "HAND WARMER",
	"POCKET WARMER", "HAIR BOW", "DOLL HOUSE", "PLAY HOUSE", "PHONE CASE", "MEMO BOARD", "SAUNA BUCKET", "SOAP DISH",
	"SOAP DISPENSER", "SOAP HOLDER", "CANDLE SNUFFER", "CANDLE PLATE", "CANDLE STICK", "CANDLE RING", "TREE SKIRT", "EGG TIMER",
	"EGG COSY", "TEA COSY", "EGG WHISK", "FLOWER PRESS", "ROSE BOWL STAND", "FAN HEATER", "CARD BOX", "GAME",
	"CARD TABLE", "RING HOLDER", "BIRD TABLE", "BIRD FEEDER", "BIRD SEED", "BIRD CAGE", "BIRDCAGE", "BUTTERFLY NET",
	"HEN HOUSE", "CHRISTMAS TREE STAND", "SPINNING TOP", "PICTURE HOOK", "LETTER RACK", "NOTE PAD", "NOTEPAD", "STAR FISH",
	"CAKE SLICE", "CAKE SERVER", "CAKE FORK", "CAKE MOULD", "CAKE BOX", "MUFFIN TRAY", "BUN TRAY", "FLOWER PICK",
	"EGG BASKET STAND", "HEART BOX SHELF", "BELL PULL", "BELL JAR", "KEY CABINET", "CUP CAKE PAPER", "MUG COSY", "WINE BOTTLE STOPPER",
	"BOTTLE OPENER", "BOTTLE BAG", "BOTTLE STOPPER", "BOTTLE TOPPER", "BOTTLE HOLDER", "BOTTLE RACK", "HOT WATER BOTTLE COVER COSY", "WATCH",
	"RING",
	"PLACE SETTING", "COCKTAIL PARASOL", "PENCIL SHARPENER", "PEN HOLDER", "PEN SET", "HOLDER", "STAND", "RACK", "SHELF", "TRAY",
	"TIDY", "KIT", "SHARPENER", "OPENER", "STOPPER", "DISPENSER", "RAIL", "CLIP", "CHARM", "MARKER",
	"MAKER", "GRINDER", "MILL", "TIMER", "COSY", "COVER", "LINER", "PAD", "REST", "TABLE",
	"CHAIR", "STOOL", "HEATER", "BURNER", "PRESS", "BOARD", "GLOVE", "WARMER", "PUZZLE", "JIGSAW",
	"LIGHT", "TORCH", "SCARF", "SOCK", "SLIPPER", "BADGE", "STICKER", "MAGNET", "PATCH", "SPONGE",
	"BRUSH", "COMB", "MASK", "HAT", "CAP", "MOULD", "DISH", "POT", "BUCKET", "BIN",
	"CRATE", "RATTLE", "BLANKET", "QUILT", "THROW", "MAT", "COASTER", "PLACEMAT", "CURTAIN",
	"MOBILE", "CHIME", "BROOCH", "CROSS", "FIGURE", "FIGURINE", "STATUE", "SCULPTURE", "CAGE", "TREE",
	"LADDER", "PERFUME", "LOTION", "SHAMPOO", "OIL", "INCENSE", "GLOSS", "BALM", "CREAM JAR", "WREATH KIT",
	"ERASER", "RULER", "STAMP", "CALENDAR", "MAP", "POSTER", "WALLPAPER", "TUBE", "DRESS",
	"PONCHO", "SHAWL", "SARONG", "BLIND", "ROSETTE", "SEAT", "SWING", "HAMMOCK", "TENT",
	"BALL", "ROPE", "DRUM", "GUITAR", "HARMONICA", "WHISTLE", "CAMERA", "RADIO", "PHONE", "CALCULATOR",
	"TAPE", "MEASURE", "SCREEN", "DOOR STOP", "DOORSTOP", "KNOCKER", "HANDLE", "BRACKET", "CANDLESTICK", "CANDELABRA",
	"CHANDELIER", "SNUFFER",
	"BAKING MOULD", "MAGIC DRAWING SLATE", "FOOD CONTAINER", "GARDENER KNEELING PAD", "NAPKIN CHARM", "NAPKIN RING", "CAKE TOWEL", "SWISS ROLL TOWEL", "LACE PAPER",
	"CANDLE FLOWERPOT", "CANDLE GARDEN POT", "CANDLE POT", "NESTING BOX", "TABLE LANTERN", "BIRD BOX CAMERA",
	"LADLE", "SPOON", "TOAST IT", "ANGEL", "PICTURE BOOK EGG", "BALLOON ART", "PIN CUSHION", "PILL BOX", "EGG HOUSE", "HAND CREAM", "WRAP DRESS",
	"TREE DECORATION", "CHRISTMAS TREE DECORATION",
}
