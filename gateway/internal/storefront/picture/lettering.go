package picture

import "strings"

// notLettering are words that say what a sign is, not what is written on it.
var notLettering = map[string]bool{
	"SIGN": true, "METAL": true, "TIN": true, "WOODEN": true, "WOOD": true, "HANGING": true, "PLAQUE": true, "WALL": true, "BLOCK": true,
	"BUILDING": true, "WORD": true, "VINTAGE": true, "RETRO": true, "LARGE": true, "SMALL": true, "SET": true, "DESIGN": true, "ENAMEL": true, "ZINC": true,
	"ANTIQUE": true, "WHITE": true, "BLACK": true, "IVORY": true, "LETTER": true, "LETTERS": true, "TOY": true, "TOYS": true, "CHILDREN": true, "KIDS": true, "BLOCKS": true, "FONT": true, "ASSORTED": true, "SIGNS": true, "ALPHABET": true,
}

// lettering is what is written on a sign of this name: "Hot Baths Metal Sign"
// reads HOT BATHS.
func (w words) lettering() []string {
	var out []string
	for _, s := range w.title {
		s = strings.ToUpper(s)
		if notLettering[strings.Trim(s, ",.!?-")] || len(out) == 0 && (s == "OF" || number(s) && w.count > 1) {
			continue
		}
		out = append(out, s)
	}
	return out[:min(len(out), 7)]
}

// inscribe sets words in up to three lines centered at a point, as large as the
// box of w by h allows.
func (d *drawing) inscribe(list []string, x, y, w, h float64, color string) {
	if len(list) == 0 {
		list = []string{"HOME", "SWEET", "HOME"}
	}
	d.set(list, 3, x, y, w, h, 62, color)
}

// readable is a color of lettering that can be read on the ground.
func readable(ground, wish tone) string {
	for _, c := range []string{wish.deep, wish.base, wish.light} {
		if distance(c, ground.base) > 240 {
			return c
		}
	}
	if contrast(ground) == white {
		return white
	}
	return ink
}
