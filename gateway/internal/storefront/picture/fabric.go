package picture

import "strings"

// figures are small shapes in a box of 24 by 24, painted with the color %[1]s
// and a second one %[2]s.
var figures = map[string]string{
	"dot":    `<circle cx="12" cy="12" r="6.5" fill="%[1]s"/>`,
	"heart":  `<path fill="%[1]s" d="M12 20C4 14 3 10 4 7.5C5.5 4 10 4 12 8C14 4 18.5 4 20 7.5C21 10 20 14 12 20z"/>`,
	"star":   `<path fill="%[1]s" d="M12 2l2.9 6.6 7.1.6-5.4 4.8 1.7 7L12 17.3 5.7 21l1.7-7L2 9.2l7.1-.6z"/>`,
	"flower": `<g fill="%[1]s"><circle cx="12" cy="6.5" r="4"/><circle cx="17.4" cy="10.4" r="4"/><circle cx="15.3" cy="16.7" r="4"/><circle cx="8.7" cy="16.7" r="4"/><circle cx="6.6" cy="10.4" r="4"/></g><circle cx="12" cy="12" r="3.2" fill="%[2]s"/>`,
	"rose":   `<path fill="#7f9f74" d="M3 14q5-4 9 0-5 4-9 0zM21 14q-5-4-9 0 5 4 9 0z"/><circle cx="12" cy="11" r="6.5" fill="%[1]s"/><path d="M9 11a3 3 0 1 1 3 3M12 8.5a5 5 0 0 1 4.5 4" fill="none" stroke="%[2]s" stroke-width="1.3"/>`,
	"leaf":   `<path fill="%[1]s" d="M4 20Q3 6 20 4Q20 20 4 20z"/><path d="M4 20L15 9" stroke="%[2]s" stroke-width="1.2"/>`,
	"strawberry": `<path fill="#d2505a" d="M12 22C5 17 3 11 6 8Q12 5 18 8C21 11 19 17 12 22z"/><path fill="#6f9a70" d="M6 8Q9 3 12 6Q15 3 18 8Q15 10 12 8Q9 10 6 8z"/>` +
		`<g fill="#fbe6b8"><circle cx="9.5" cy="12" r="1"/><circle cx="14.5" cy="12" r="1"/><circle cx="12" cy="16" r="1"/></g>`,
	"apple":     `<path fill="%[1]s" d="M12 8C7 5 3 8 4 14C5 19 9 22 12 20C15 22 19 19 20 14C21 8 17 5 12 8z"/><path d="M12 8Q12 4 15 3" stroke="#6b4a35" stroke-width="1.6" fill="none"/>`,
	"toadstool": `<path fill="#f5ead6" d="M9 12h6l1 9H8z"/><path fill="#c9483f" d="M2 13C3 4 21 4 22 13z"/><g fill="#fff"><circle cx="8" cy="9.5" r="1.5"/><circle cx="13" cy="8" r="1.7"/><circle cx="17" cy="10.5" r="1.3"/></g>`,
	"skull":     `<path fill="%[1]s" d="M4 11C4 2 20 2 20 11Q20 15 16.5 16V20H7.5V16Q4 15 4 11z"/><g fill="%[2]s"><circle cx="8.8" cy="11" r="2.2"/><circle cx="15.2" cy="11" r="2.2"/><path d="M11 15h2l-1-2z"/></g>`,
	"bird":      `<path fill="%[1]s" d="M3 10Q8 5 13 9Q15 5 19 7L22 9L19 10Q19 18 12 18Q6 18 3 10z"/><circle cx="17.5" cy="8.7" r=".9" fill="%[2]s"/>`,
	"butterfly": `<g fill="%[1]s"><path d="M12 12C8 2 1 4 3 10Q4 13 12 12z"/><path d="M12 12C16 2 23 4 21 10Q20 13 12 12z"/><path d="M12 12C5 13 5 20 8 20Q11 19 12 12z"/><path d="M12 12C19 13 19 20 16 20Q13 19 12 12z"/></g><path d="M12 7v11" stroke="%[2]s" stroke-width="1.5" stroke-linecap="round"/>`,
	"paisley":   `<path fill="%[1]s" d="M16 3C8 4 3 9 4 15C5 21 14 22 16 16C17 12 13 10 12 13C9 11 12 6 16 3z"/><circle cx="9.5" cy="16" r="2" fill="%[2]s"/>`,
	"snow":      `<g stroke="%[1]s" stroke-width="1.6" stroke-linecap="round"><path d="M12 3v18M4.2 7.5l15.6 9M19.8 7.5l-15.6 9M9.5 4.5L12 7l2.5-2.5M9.5 19.5L12 17l2.5 2.5"/></g>`,
	"cat":       `<path fill="%[1]s" d="M5 20V8L4 3l5 3h6l5-3-1 5v12z"/><g fill="%[2]s"><circle cx="9" cy="11" r="1.3"/><circle cx="15" cy="11" r="1.3"/></g>`,
	"car":       `<path fill="%[1]s" d="M2 15v-3q0-2 3-2l3-4h7l4 4q3 0 3 3v2z"/><g fill="%[2]s"><circle cx="7" cy="16" r="2.6"/><circle cx="17" cy="16" r="2.6"/></g>`,
	"rocket":    `<path fill="%[1]s" d="M12 1Q18 7 17 15l3 4-4-1H8l-4 1 3-4Q6 7 12 1z"/><circle cx="12" cy="9" r="2.4" fill="%[2]s"/><path fill="#e7a24b" d="M9.5 19h5L12 23z"/>`,
	"rabbit":    `<path fill="%[1]s" d="M8 11C4 2 8 0 11 9h2C16 0 20 2 16 11Q20 14 18 19Q12 23 6 19Q4 14 8 11z"/><g fill="%[2]s"><circle cx="9.5" cy="15" r="1.1"/><circle cx="14.5" cy="15" r="1.1"/></g>`,
	"egg":       `<path fill="%[1]s" d="M12 3C17 3 20 10 20 15C20 20 16 22 12 22C8 22 4 20 4 15C4 10 7 3 12 3z"/>`,
	"crown":     `<path fill="%[1]s" d="M3 7l4.5 5L12 4l4.5 8L21 7l-2 13H5z"/>`,
	"cake":      `<path fill="%[2]s" d="M6 13h12l-2 9H8z"/><path fill="%[1]s" d="M4 13Q4 6 12 5Q20 6 20 13z"/><circle cx="12" cy="4" r="2" fill="#c9483f"/>`,
	"teacup":    `<path fill="%[1]s" d="M4 8h13v2h2.5q2 0 1.5 3t-5 3Q14 19 10.5 19Q4 18 4 8z"/>`,
}

// designs maps words to the figure that decorates a surface, in the order in
// which they are looked for.
var designs = []struct {
	figure string
	words  []string
}{
	{"dot", []string{"RETROSPOT", "POLKADOT", "POLKADOTS", "SPOTTY", "SPOT", "SPOTS", "DOT", "DOTTY", "POLKA"}},
	{"skull", []string{"SKULL", "SKULLS"}},
	{"strawberry", []string{"STRAWBERRY", "STRAWBERRIES"}},
	{"toadstool", []string{"WOODLAND", "TOADSTOOL", "TOADSTOOLS", "MUSHROOM"}},
	{"apple", []string{"APPLE", "APPLES", "PEARS", "FRUIT", "FRUITS", "CHERRY", "CHERRIES"}},
	{"paisley", []string{"PAISLEY", "BAROQUE", "DAMASK", "TUTTI", "MOROCCAN"}},
	{"rocket", []string{"SPACEBOY", "ROCKET", "SPACE", "ROBOT"}},
	{"car", []string{"CARS", "CAR", "TRACTOR", "BUS", "TRANSPORT", "TOYS"}},
	{"cat", []string{"CAT", "CATS", "KITTY", "KITTENS", "DOG", "DOGS", "PUPPIES", "ANIMALS"}},
	{"bird", []string{"BIRD", "BIRDS", "OWL", "OWLS", "LOVEBIRD", "LOVEBIRDS", "CHICK", "CHICKS", "HEN", "ROBIN", "DOVE", "COCKEREL", "DUCK", "DUCKS"}},
	{"butterfly", []string{"BUTTERFLY", "BUTTERFLIES"}},
	{"rabbit", []string{"RABBIT", "RABBITS", "BUNNY", "BUNNIES"}},
	{"rose", []string{"ROSE", "ROSES", "REGENCY", "ROSIE", "SHABBY", "CHINTZ", "VICTORIAN", "CAMPHOR"}},
	{"flower", []string{"FLOWER", "FLOWERS", "FLORAL", "DAISY", "BLOSSOM", "GARDEN", "SUKI", "DOLLY", "BABUSHKA", "FOLKART", "SUMMER", "SUNFLOWER", "DAISIES", "FLORA"}},
	{"leaf", []string{"BOTANICAL", "LEAF", "LEAVES", "HERB", "HERBS", "MORRIS", "IVY"}},
	{"snow", []string{"SNOW", "SNOWFLAKE", "SNOWFLAKES", "WINTER", "NORDIC", "SCANDINAVIAN"}},
	{"heart", []string{"HEART", "HEARTS", "SWEETHEART", "SWEETHEARTS", "LOVE", "VALENTINE", "VALENTINES", "CUPID"}},
	{"star", []string{"STAR", "STARS", "CHRISTMAS", "XMAS", "CIRCUS", "MAGIC"}},
	{"crown", []string{"KINGS", "CORONATION", "ROYAL", "QUEEN", "PRINCESS"}},
	{"egg", []string{"EASTER", "EGG", "EGGS"}},
	{"cake", []string{"CUPCAKE", "CUPCAKES", "CAKES", "CAKE"}},
	{"teacup", []string{"TEATIME", "TEA"}},
}

// fabric writes the pattern of the large surface into the defs and returns its
// paint; a plain surface has the main color. A motif that is itself the figure
// stays plain.
func (d *drawing) fabric(m motif) string {
	w := d.words
	base := d.main.base
	on := contrast(d.main)
	switch {
	case m.plain:
		return base
	case w.has("WICKER", "RATTAN", "WOVEN", "BASKET", "SEAGRASS"):
		d.p(`<pattern id="cloth" width="24" height="16" patternUnits="userSpaceOnUse"><path fill="%s" d="M0 0h24v16H0z"/><path d="M1 4h10M13 12h10" stroke="%s" stroke-width="5" stroke-linecap="round"/><path d="M13 4h10M1 12h10" stroke="%s" stroke-width="5" stroke-linecap="round"/></pattern>`,
			d.main.deep, d.main.light, d.main.base)
		return "url(#cloth)"
	case w.has("UNION", "FLAG", "JACK"):
		d.p(`<pattern id="cloth" width="150" height="100" patternUnits="userSpaceOnUse" x="125" y="190"><path fill="#34507d" d="M0 0h150v100H0z"/><path d="M0 0l150 100M150 0L0 100" stroke="#f6f2ea" stroke-width="20"/><path d="M0 0l150 100M150 0L0 100" stroke="#bf3f42" stroke-width="7"/><path d="M75 0v100M0 50h150" stroke="#f6f2ea" stroke-width="32"/><path d="M75 0v100M0 50h150" stroke="#bf3f42" stroke-width="19"/></pattern>`)
		return "url(#cloth)"
	case w.has("GINGHAM", "CHECK", "CHECKED", "TARTAN"):
		d.p(`<pattern id="cloth" width="36" height="36" patternUnits="userSpaceOnUse"><path fill="%s" d="M0 0h36v36H0z"/><path fill="%s" opacity=".55" d="M0 0h18v36H0z"/><path fill="%s" opacity=".55" d="M0 0h36v18H0z"/></pattern>`, white, base, base)
		return "url(#cloth)"
	case w.has("STRIPE", "STRIPES", "STRIPEY", "STRIPED", "DECKCHAIR", "BEACH", "CANDY", "SEASIDE"):
		d.p(`<pattern id="cloth" width="28" height="28" patternUnits="userSpaceOnUse"><path fill="%s" d="M0 0h28v28H0z"/><path fill="%s" d="M0 0h14v28H0z"/></pattern>`, white, base)
		return "url(#cloth)"
	case w.has("KNITTED", "KNIT", "CROCHET", "WOOLLY", "CABLE"):
		d.p(`<pattern id="cloth" width="16" height="14" patternUnits="userSpaceOnUse"><path fill="%s" d="M0 0h16v14H0z"/><path d="M0 2l8 7 8-7" fill="none" stroke="%s" stroke-width="3.5"/></pattern>`, base, d.main.light)
		return "url(#cloth)"
	}
	for _, design := range designs {
		if m.is == design.figure || !w.has(design.words...) {
			continue
		}
		if m.is == "tlight" && design.figure == "heart" {
			return base // the heart hangs on it
		}
		second := d.main.deep
		if design.figure == "flower" || design.figure == "rose" {
			second = mix(gold, white, .3)
			if distance(on, ivory) < 60 {
				second = mix(base, white, .25)
			}
		}
		d.figurePattern(base, on, second, design.figure)
		return "url(#cloth)"
	}
	return base
}

// figurePattern strews a figure over a ground, every second row moved by half.
func (d *drawing) figurePattern(ground, color, second, figure string) {
	shape := figures[figure]
	d.p(`<pattern id="cloth" width="52" height="52" patternUnits="userSpaceOnUse" patternTransform="rotate(8)"><path fill="%s" d="M0 0h52v52H0z"/>`, ground)
	for _, at := range [][2]int{{1, 1}, {27, 27}} {
		d.p(`<g transform="translate(%d %d)">`, at[0], at[1])
		d.shape(shape, color, second)
		d.p(`</g>`)
	}
	d.p(`</pattern>`)
}

// shape writes a figure in two colors.
func (d *drawing) shape(shape, color, second string) {
	d.b.WriteString(strings.NewReplacer("%[1]s", color, "%[2]s", second).Replace(shape))
}

// emblem draws a figure of the given width centered at a point.
func (d *drawing) emblem(figure string, x, y, width float64, color, second string) {
	s := width / 24
	d.p(`<g transform="translate(%.1f %.1f) scale(%.2f)">`, x-width/2, y-width/2, s)
	d.shape(figures[figure], color, second)
	d.p(`</g>`)
}

// contrast is what shows on a tone: ivory on dark, a friendly red, green or
// blue on light.
func contrast(t tone) string {
	r, g, b := rgb(t.base)
	if (r*3+g*6+b)/10 < 175 {
		return white
	}
	if distance(t.base, ivory) < 80 || distance(t.base, white) < 80 || distance(t.base, cream) < 90 {
		return rose
	}
	return mix(t.base, white, .8)
}

// figureOf is the figure the name speaks of, or the fallback.
func (d *drawing) figureOf(fallback string) string {
	for _, design := range designs {
		if design.figure != "dot" && d.words.has(design.words...) {
			return design.figure
		}
	}
	return fallback
}
