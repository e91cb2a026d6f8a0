package picture

import (
	"fmt"
	"strconv"
)

// tone is a color with the shades that model a body in flat light.
type tone struct {
	base, light, shade, deep string
}

// newTone derives the shades of a color written "#rrggbb".
func newTone(hex string) tone {
	return tone{
		base:  hex,
		light: mix(hex, "#ffffff", .38),
		shade: mix(hex, "#33261f", .14),
		deep:  mix(hex, "#33261f", .42),
	}
}

// mix moves a color towards another by the given share, 0 to 1.
func mix(a, b string, share float64) string {
	ar, ag, ab := rgb(a)
	br, bg, bb := rgb(b)
	blend := func(x, y int) int { return int(float64(x)*(1-share) + float64(y)*share + .5) }
	return fmt.Sprintf("#%02x%02x%02x", blend(ar, br), blend(ag, bg), blend(ab, bb))
}

func rgb(hex string) (r, g, b int) {
	v, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		panic("picture: no color: " + hex) // a literal of this package
	}
	return int(v >> 16), int(v >> 8 & 255), int(v & 255)
}

// distance is how far apart two colors look, roughly, from 0 to about 765.
func distance(a, b string) int {
	ar, ag, ab := rgb(a)
	br, bg, bb := rgb(b)
	abs := func(x int) int { return max(x, -x) }
	return abs(ar-br) + abs(ag-bg) + abs(ab-bb)
}

// The colors that things are made of.
const (
	red    = "#c2453d"
	rose   = "#dd8d9c"
	blue   = "#4d7ea3"
	sky    = "#8fb7cc"
	green  = "#6f9a70"
	sage   = "#9db494"
	forest = "#47705a"
	yellow = "#e7bf55"
	orange = "#dd8a4b"
	plum   = "#8a6b9c"
	lilac  = "#b9a3cc"
	ivory  = "#f4ecdb"
	white  = "#faf7f1"
	cream  = "#f1e2c2"
	ink    = "#3d3a3c"
	slate  = "#56616a"
	zinc   = "#b7bfc3"
	gold   = "#cfa54e"
	copper = "#bd7a54"
	wood   = "#c0946a"
	wicker = "#caa065"
	brown  = "#8b664b"
	teal   = "#5b9a97"
	skin   = "#f3d2b8"
	leaf   = "#7a9e6b"
)

// grounds are the backdrops: quiet tints that let the thing speak.
var grounds = []string{
	"#efe6da", "#e3e9dd", "#f1dfd9", "#dde7ec", "#f4e9cd", "#e7e0ec", "#e6e4df", "#dcebe5", "#f3e3d0",
}

// backdrop picks a ground that does not swallow the thing.
func backdrop(thing tone, c *chance) tone {
	start := c.of(len(grounds))
	best, far := grounds[start], -1
	for i := range grounds {
		g := grounds[(start+i)%len(grounds)]
		d := distance(g, thing.base)
		if d > 110 {
			best = g
			break
		}
		if d > far {
			best, far = g, d
		}
	}
	return tone{base: best, shade: mix(best, "#5a4636", .1)}
}

// colorWords maps words of a name to colors.
var colorWords = map[string]string{
	"RED": red, "RUBY": red, "CRANBERRY": red, "SCARLET": red, "TOADSTOOL": red, "CHILLI": red, "CHERRY": red,
	"PINK": rose, "ROSE": rose, "ROSES": rose, "FUSCHIA": "#cf5f8a", "STRAWBERRY": "#e39aa6", "SWEETHEART": rose, "CORAL": "#e08470", "BLUSH": "#e9b7b0", "RASPBERRY": "#b94a68",
	"BLUE": blue, "NAVY": "#3c567a", "SKY": sky, "AQUA": "#7fbdc0", "TURQUOISE": "#5fb0b2", "TURQ": "#5fb0b2", "SAPPHIRE": "#3f6aa5", "SPACEBOY": "#5c93b8",
	"GREEN": green, "LIME": "#a5c05b", "OLIVE": "#8b9455", "EMERALD": "#4d9a77", "MINT": "#a9d3bf", "JADE": "#6fae92", "TEAL": teal, "WOODLAND": sage, "BOTANICAL": sage,
	"YELLOW": yellow, "LEMON": "#efd672", "ORANGE": orange, "AMBER": "#d59443", "TERRACOTTA": "#c9795a",
	"PURPLE": plum, "LILAC": lilac, "LAVENDER": lilac, "AMETHYST": "#9c7fc0", "MAUVE": lilac, "VIOLET": plum, "GRAPE": plum,
	"WHITE": white, "IVORY": ivory, "CREAM": cream, "PEARL": ivory, "VANILLA": cream, "NATURAL": "#dcc7a1", "LINEN": cream, "BEIGE": "#d9c6a5", "REGENCY": ivory, "PANTRY": "#dfe7e2",
	"BLACK": ink, "JET": ink, "SLATE": slate, "GREY": "#9a9c9e", "CHARCOAL": "#5a5a5c",
	"SILVER": zinc, "ZINC": zinc, "METAL": zinc, "TIN": zinc, "STEEL": zinc, "CHROME": zinc, "DIAMANTE": "#d5dee4", "CRYSTAL": "#cfe0e6", "CLEAR": "#cfe0e6", "ALUMINIUM": zinc,
	"GOLD": gold, "GOLDEN": gold, "BRASS": gold, "COPPER": copper, "BRONZE": "#a97f53",
	"WOOD": wood, "WOODEN": wood, "BAMBOO": "#d7b878", "OAK": wood, "RUSTIC": wood, "WICKER": wicker, "RATTAN": wicker, "HESSIAN": "#c8ad80", "JUTE": "#c8ad80",
	"BROWN": brown, "CHOCOLATE": "#76503b", "COFFEE": brown, "GINGERBREAD": "#b67f4f", "HONEYCOMB": "#e0b159", "HONEY": "#e0b159",
	"DOLLY": rose, "BABUSHKA": red, "RETROSPOT": red, "SPOTTY": red, "BAKELIKE": red, "UNION": "#34507d", "SKULL": ink, "SKULLS": ink,
	"CHRISTMAS": red, "LOVE": red, "SUKI": "#c9566b", "APPLES": green, "APPLE": green, "PEARS": green, "DINOSAUR": green, "CIRCUS": orange, "OWL": "#b98a5e", "OWLS": "#b98a5e", "ELEPHANT": "#9fb0bd", "DOILEY": sky, "DOILY": sky, "KINGS": blue, "CARS": sky,
	"PARIS": sky, "LONDON": red, "SCANDINAVIAN": blue, "EMPIRE": "#a4484a", "VICTORIAN": "#7d93a5", "FRENCH": "#8fa9b8", "PROVENCAL": lilac,
}

// quiet are words that name a make or a style more than a color: another color
// word comes before them.
var quiet = map[string]bool{
	"METAL": true, "TIN": true, "WOODEN": true, "WOOD": true, "RETROSPOT": true, "SPOTTY": true, "BAKELIKE": true, "WOODLAND": true, "PANTRY": true, "REGENCY": true,
	"ROSE": true, "ROSES": true, "SWEETHEART": true, "LOVE": true, "CHRISTMAS": true, "UNION": true, "DIAMANTE": true, "CRYSTAL": true, "NATURAL": true, "DOLLY": true,
	"FRENCH": true, "VICTORIAN": true, "EMPIRE": true, "RUSTIC": true, "PARIS": true, "LONDON": true, "CHERRY": true, "STRAWBERRY": true, "APPLE": true, "APPLES": true,
	"BABUSHKA": true, "SKULL": true, "SKULLS": true, "SPACEBOY": true, "SUKI": true, "SCANDINAVIAN": true, "BOTANICAL": true, "TOADSTOOL": true, "COFFEE": true, "CHOCOLATE": true, "SKY": true,
	"GRAPE": true, "CIRCUS": true, "OWL": true, "OWLS": true, "DINOSAUR": true, "VANILLA": true, "HONEYCOMB": true, "GINGERBREAD": true, "PEARL": true, "ELEPHANT": true, "JET": true,
}

// seasonal are words that do not color what has grown: a Christmas tree is not
// red, nor a sunflower in a tin gray.
var seasonal = map[string]bool{"CHRISTMAS": true, "TIN": true, "METAL": true, "ZINC": true, "LOVE": true, "LONDON": true, "VICTORIAN": true}

// tones chooses what the thing is made of: first the colors its name gives, then
// what the motif is usually made of, then the seed.
func (w words) tones(m motif, c *chance) (main, accent tone) {
	var loud, soft []string
	for _, s := range w.list {
		if m.grown && seasonal[s] {
			continue
		}
		if hex, ok := colorWords[s]; ok {
			if quiet[s] {
				soft = append(soft, hex)
			} else {
				loud = append(loud, hex)
			}
		}
	}
	found := append(loud, soft...)
	own := m.colors
	if len(own) == 0 {
		own = []string{red, rose, blue, sky, sage, yellow, teal, lilac, orange}
	}
	pick := own[c.of(len(own))]
	if len(found) > 0 {
		pick = found[0]
	}
	second := ""
	for _, hex := range found {
		if distance(hex, pick) > 90 {
			second = hex
			break
		}
	}
	if second == "" {
		others := []string{ivory, red, blue, gold, sage, rose, wood, slate}
		start := c.of(len(others))
		for i := range others {
			if second = others[(start+i)%len(others)]; distance(second, pick) > 190 {
				break
			}
		}
	}
	return newTone(pick), newTone(second)
}
