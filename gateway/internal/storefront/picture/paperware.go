package picture

// Things of paper, small things, and what a plainer drawing would mistake for
// something else.

// drawTitle sets the name on a label over the shop's wrapping paper: what a name
// without a drawable thing gets.
func drawTitle(d *drawing) {
	ink := mix(d.main.base, "#2a2420", .62)
	d.s(`<path fill="{c}" d="M0 0h400v400H0z"/><path fill="#33261f" opacity=".14" d="M60 92h280a20 20 0 0 0 20 20v184a20 20 0 0 0-20 20H60a20 20 0 0 0-20-20V112a20 20 0 0 0 20-20z" transform="translate(3 7)"/><path fill="#fffaf0" d="M60 86h280a20 20 0 0 0 20 20v188a20 20 0 0 0-20 20H60a20 20 0 0 0-20-20V106a20 20 0 0 0 20-20z"/>`)
	d.p(`<path fill="none" stroke="%s" stroke-width="2" d="M68 98h264a20 20 0 0 0 16 16v172a20 20 0 0 0-16 16H68a20 20 0 0 0-16-16V114a20 20 0 0 0 16-16z"/>`, mix(ink, "#fffaf0", .35))
	d.p(`<path d="M98 130h74M228 130h74M150 282h100" stroke="%s" stroke-width="2" stroke-linecap="round"/>`, mix(ink, "#fffaf0", .45))
	d.emblem(d.figureOf("flower"), 200, 130, 32, mix(d.main.base, "#2a2420", .18), "#fffaf0")
	d.set(d.words.title, 5, 200, 207, 268, 122, 46, ink)
}

// drawCases are empty paper cases for baking, pleated.
func drawCases(d *drawing) {
	for _, at := range [][2]int{{112, 262}, {222, 262}, {167, 322}} {
		d.p(`<g transform="translate(%d %d)">`, at[0]-44, at[1]-86)
		d.s(`<path fill="{c}" d="M0 8h154l-27 70q-50 16-100 0z"/><path d="M20 18l18 62M42 22l10 62M65 24l3 62M89 24l-3 62M112 22l-10 62M134 18l-18 62" stroke="#33261f" stroke-width="4" opacity=".15"/><ellipse cx="77" cy="9" rx="77" ry="17" fill="{ml}"/><ellipse cx="77" cy="11" rx="67" ry="12" fill="{ms}"/><ellipse cx="77" cy="14" rx="52" ry="8" fill="{md}" opacity=".35"/></g>`)
	}
}

// drawPopcorn is a striped box of popcorn.
func drawPopcorn(d *drawing) {
	for _, at := range [][3]int{{150, 150, 24}, {186, 134, 26}, {222, 138, 25}, {252, 154, 22}, {168, 120, 20}, {206, 106, 22}, {236, 118, 18}, {132, 164, 18}, {270, 166, 16}} {
		d.p(`<circle cx="%d" cy="%d" r="%d" fill="#fbf0cf"/><circle cx="%d" cy="%d" r="%d" fill="#f1dc9c"/>`, at[0], at[1], at[2], at[0]+5, at[1]+4, at[2]/3)
	}
	d.s(`<path fill="#faf6ec" d="M116 160h168l-24 162H140z"/><path fill="{c}" d="M116 160h28l8 162h-12zM172 160h28v162h-18zM228 160h28l-14 162h-24z"/><path fill="#33261f" opacity=".1" d="M256 160h28l-24 162h-20z"/><path d="M116 160q14 12 28 0t28 0 28 0 28 0 28 0 28 0" fill="none" stroke="{ms}" stroke-width="5"/>`)
}

// drawPaperLantern is a round lantern of paper and bamboo rings.
func drawPaperLantern(d *drawing) {
	d.cord(96)
	d.s(`<circle cx="200" cy="204" r="140" fill="url(#glow)" opacity=".5"/><path fill="{md}" d="M170 92h60v18h-60zM170 298h60v16h-60z"/><ellipse cx="200" cy="204" rx="116" ry="98" fill="{c}"/><path fill="#33261f" opacity=".1" d="M250 116c54 34 90 132 0 178 30-50 30-126 0-178z"/><path d="M118 134q82 26 164 0M92 170q108 32 216 0M84 204q116 34 232 0M92 240q108 32 216 0M118 274q82 24 164 0" fill="none" stroke="#33261f" stroke-width="3" opacity=".2"/><path d="M200 314v26" stroke="{md}" stroke-width="4"/><path fill="{a}" d="M190 338h20l5 42h-30z"/>`)
}

// drawTag is a label with a string.
func drawTag(d *drawing) {
	d.s(`<path d="M200 118C196 40 262 30 268 0" fill="none" stroke="#8a7a66" stroke-width="4"/><g transform="rotate(-6 200 220)"><path fill="#33261f" opacity=".14" d="M164 96h72l44 52v180q0 10-10 10H130q-10 0-10-10V148z" transform="translate(4 8)"/><path fill="{c}" d="M164 90h72l44 52v180q0 10-10 10H130q-10 0-10-10V142z"/><circle cx="200" cy="124" r="15" fill="{ad}"/><circle cx="200" cy="124" r="8" fill="#fbf6ea"/><rect x="142" y="176" width="116" height="120" rx="6" fill="#fffaf0" opacity=".92"/>`)
	d.emblem(d.figureOf("heart"), 200, 216, 50, d.accent.base, d.accent.light)
	d.s(`<path d="M160 262h80M160 278h56" stroke="{ad}" stroke-width="4" stroke-linecap="round" opacity=".55"/></g>`)
}

// drawBeaker is a cup without a handle.
func drawBeaker(d *drawing) {
	d.s(`<path fill="{c}" d="M124 132h152l-22 178q-2 12-14 12h-80q-12 0-14-12z"/><path fill="#33261f" opacity=".1" d="M244 132h32l-22 178q-2 12-14 12h-16z"/><path fill="#fff" opacity=".25" d="M142 150h14l12 150q0 8-5 8t-6-8z"/><ellipse cx="200" cy="132" rx="76" ry="15" fill="{ml}"/><ellipse cx="200" cy="135" rx="66" ry="10" fill="{md}" opacity=".55"/>`)
}

// drawTumbler is a glass without a stem.
func drawTumbler(d *drawing) {
	d.s(`<path fill="{m}" opacity=".7" d="M132 120h136l-16 188q-1 14-16 14h-72q-15 0-16-14z"/><path fill="{md}" opacity=".2" d="M240 120h28l-16 188q-1 14-16 14h-16z"/><path fill="#fff" opacity=".45" d="M148 136h12l8 160q0 8-5 8t-6-8z"/><path fill="{md}" opacity=".25" d="M146 292h108l-2 18q-1 12-16 12h-72q-15 0-16-12z"/><ellipse cx="200" cy="120" rx="68" ry="12" fill="none" stroke="{ml}" stroke-width="5"/><path d="M140 196q60 20 120 0M142 226q58 20 116 0" fill="none" stroke="{a}" stroke-width="4" opacity=".8"/>`)
}

// drawPouch is a case with a zip.
func drawPouch(d *drawing) {
	d.s(`<path fill="{c}" d="M84 168q116-22 232 0l14 128q2 26-26 26H96q-28 0-26-26z"/><path fill="#33261f" opacity=".1" d="M280 164l36 4 14 128q2 26-26 26h-22q14-70-2-158z"/><path d="M86 182q114-20 228 0" fill="none" stroke="{md}" stroke-width="11"/><path d="M86 182q114-20 228 0" fill="none" stroke="#d8c07a" stroke-width="5" stroke-dasharray="4 4"/><path fill="#c59b45" d="M286 176h16v14h-16zM290 188h8l4 38q0 8-8 8t-8-8z"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("heart"), 196, 252, 64, contrast(d.main), d.main.deep)
	}
}

// drawWallet is a folded wallet for cards.
func drawWallet(d *drawing) {
	d.s(`<g transform="rotate(-4 200 230)"><rect x="86" y="146" width="204" height="60" rx="8" fill="#e9e2d2"/><rect x="100" y="134" width="204" height="60" rx="8" fill="{al}"/><rect x="76" y="164" width="252" height="158" rx="16" fill="{c}"/><path fill="#33261f" opacity=".1" d="M288 164h24q16 0 16 16v126q0 16-16 16h-24z"/><rect x="88" y="176" width="228" height="134" rx="10" fill="none" stroke="{ml}" stroke-width="3" stroke-dasharray="8 6"/><path fill="{a}" d="M286 222h56q8 0 8 8v30q0 8-8 8h-56q-16 0-16-23t16-23z"/><circle cx="292" cy="245" r="8" fill="#d8c07a"/></g>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("star"), 176, 244, 62, contrast(d.main), d.main.deep)
	}
}

// drawTissues is a pocket pack with a tissue coming out.
func drawTissues(d *drawing) {
	d.s(`<g transform="rotate(-5 200 230)"><path fill="#fffdf7" d="M150 176C120 120 170 128 196 100c14 34 66 16 58 76z"/><path fill="#33261f" opacity=".08" d="M206 172c10-30 4-50-10-72 14 34 66 16 58 76z"/><rect x="78" y="164" width="244" height="150" rx="18" fill="{c}"/><path fill="#33261f" opacity=".1" d="M284 164h20q18 0 18 18v114q0 18-18 18h-20z"/><ellipse cx="200" cy="180" rx="74" ry="13" fill="#fffdf7"/><path d="M126 180q74 30 148 0" fill="none" stroke="{ad}" stroke-width="4" opacity=".6"/><path fill="{a}" d="M294 212h40v44h-40z"/></g>`)
}

// drawPaints is a box of paints with a brush.
func drawPaints(d *drawing) {
	d.s(`<rect x="70" y="176" width="260" height="146" rx="14" fill="{ms}"/><rect x="70" y="168" width="260" height="146" rx="14" fill="{c}"/><rect x="84" y="182" width="232" height="118" rx="8" fill="#fbf6ea"/>`)
	for i, c := range []string{red, orange, yellow, green, blue, plum, brown, ink} {
		d.p(`<rect x="%d" y="%d" width="46" height="30" rx="7" fill="%s"/>`, 94+i%4*55, 192+i/4*38, c)
	}
	d.s(`<rect x="96" y="274" width="206" height="16" rx="8" fill="#e6dcc6"/><g transform="rotate(-24 250 150)"><path fill="{a}" d="M196 138h150q8 4 0 8H196z"/><path fill="#b7bfc3" d="M174 136h24v12h-24z"/><path fill="#4a3b33" d="M174 136q-30-2-42 10 22 8 42 2z"/></g>`)
}

// drawScissors are open scissors.
func drawScissors(d *drawing) {
	d.s(`<path fill="#c9d0d3" d="M196 216L132 72q-10-14-16 4l66 152z"/><path fill="#aeb7bb" d="M204 216l64-144q10-14 16 4l-66 152z"/><g fill="none" stroke="{m}" stroke-width="17"><ellipse cx="152" cy="292" rx="32" ry="44" transform="rotate(24 152 292)"/><ellipse cx="248" cy="292" rx="32" ry="44" transform="rotate(-24 248 292)"/></g><path d="M194 214l-24 38M206 214l24 38" stroke="{md}" stroke-width="15"/><circle cx="200" cy="212" r="9" fill="#5a6064"/>`)
}

// drawSticks are chalks, crayons or thin candles side by side.
func drawSticks(d *drawing) {
	colors := []string{d.main.base, d.accent.base, yellow, green, blue, rose}
	if d.words.has("WHITE") {
		colors = []string{white, white, white, white, white, white}
	}
	candles, crayons := d.words.has("CANDLE", "CANDLES"), d.words.has("CRAYON", "CRAYONS")
	for i, c := range colors {
		x := 86 + i*40
		fill := c
		if candles && d.cloth != d.main.base {
			fill = d.cloth
		}
		d.p(`<rect x="%d" y="150" width="28" height="172" rx="5" fill="%s"/><path fill="#33261f" opacity=".12" d="M%d 150h9v172h-9z"/>`, x, fill, x+19)
		switch {
		case candles:
			d.flame(float64(x+14), 150)
		case crayons:
			d.p(`<path fill="%s" d="M%d 152l8-38h12l8 38z"/><path fill="#fff" opacity=".55" d="M%d 206h28v60h-28z"/>`, c, x, x)
		default:
			d.p(`<ellipse cx="%d" cy="151" rx="14" ry="6" fill="%s"/>`, x+14, mix(c, "#ffffff", .5))
		}
	}
	if !candles {
		d.s(`<path fill="{a}" d="M72 232h256v82q0 8-8 8H80q-8 0-8-8z"/><path fill="#33261f" opacity=".1" d="M292 232h36v82q0 8-8 8h-28z"/>`)
	}
}

// drawPen is one pen.
func drawPen(d *drawing) {
	d.s(`<g transform="rotate(38 200 200)"><path fill="#33261f" opacity=".12" d="M186 64h36v224l-18 56-18-56z" transform="translate(8 4)"/><path fill="#c3cacd" d="M182 284h36l-15 54h-6z"/><path fill="#3d3a3c" d="M195 322h10l-5 16z"/><path fill="{c}" d="M182 120h36v166h-36z"/><path fill="#33261f" opacity=".12" d="M206 120h12v166h-12z"/><path fill="{a}" d="M182 52q18-14 36 0v72h-36z"/><path fill="{al}" d="M214 62h9v84q-4 6-9 0z"/><path fill="#d8c07a" d="M180 118h40v9h-40zM180 278h40v8h-40z"/></g>`)
}

// drawEggCup is an egg in its cup.
func drawEggCup(d *drawing) {
	d.s(`<path fill="#f3e2cb" d="M200 84c38 0 60 60 60 104H140c0-44 22-104 60-104z"/><path fill="#33261f" opacity=".07" d="M222 92c24 20 38 62 38 96h-28c6-36 2-70-10-96z"/><path fill="{c}" d="M128 180h144c0 66-30 92-58 100v18h-28v-18c-28-8-58-34-58-100z"/><path fill="#33261f" opacity=".1" d="M240 180h32c0 66-30 92-58 100 20-24 28-60 26-100z"/><path fill="{ms}" d="M150 322q4-26 50-26t50 26z"/><ellipse cx="200" cy="182" rx="72" ry="11" fill="none" stroke="{ml}" stroke-width="5"/>`)
}

// drawPaperChain are rings of paper through each other.
func drawPaperChain(d *drawing) {
	for row, y := range []int{120, 232} {
		for i := range 6 {
			c := []string{d.main.base, d.accent.base, d.main.light, gold}[(i+row)%4]
			x := 10 + i*76
			drop := []int{0, 24, 38, 38, 24, 0}[i]
			d.p(`<ellipse cx="%d" cy="%d" rx="46" ry="34" fill="none" stroke="%s" stroke-width="17"/><path d="M%d %da46 34 0 0 1 40-26" fill="none" stroke="#fff" stroke-width="5" opacity=".35"/>`, x, y+drop, c, x-46, y+drop-6)
		}
	}
}

// drawTealight is a small candle in its metal cup.
func drawTealight(d *drawing) {
	d.s(`<path fill="#c9d0d3" d="M118 226h164v76q0 20-82 20t-82-20z"/><path fill="#33261f" opacity=".12" d="M246 226h36v76q0 14-36 18z"/><path d="M134 240v70M156 244v74M178 246v74M200 246v76M222 246v74M244 244v74M266 240v70" stroke="#8d979c" stroke-width="3" opacity=".6"/><ellipse cx="200" cy="226" rx="82" ry="19" fill="#dfe4e6"/><ellipse cx="200" cy="228" rx="72" ry="14" fill="{m}"/>`)
	d.flame(200, 228)
}

// drawStorageJar is a glass jar with a lid.
func drawStorageJar(d *drawing) {
	d.s(`<path fill="#dfeaea" opacity=".9" d="M138 158h124q12 10 12 34v104q0 26-26 26h-96q-26 0-26-26V192q0-24 12-34z"/><path fill="#33261f" opacity=".08" d="M244 158h18q12 10 12 34v104q0 26-26 26h-16q14-10 14-36V200q0-30-2-42z"/><path fill="#fff" opacity=".6" d="M142 190h13v108q0 9-6 9t-7-9z"/><path fill="{c}" d="M128 126h144q8 0 8 9v20q0 9-8 9H128q-8 0-8-9v-20q0-9 8-9z"/><path fill="#33261f" opacity=".1" d="M120 150h160v5q0 9-8 9H128q-8 0-8-9z"/><ellipse cx="200" cy="114" rx="22" ry="15" fill="{ms}"/><rect x="158" y="222" width="84" height="50" rx="6" fill="#fffaf0"/><path d="M174 240h52M182 254h36" stroke="{md}" stroke-width="4" stroke-linecap="round" opacity=".6"/>`)
}

// drawCards are playing cards, fanned.
func drawCards(d *drawing) {
	for i, angle := range []int{-22, -4, 14} {
		d.p(`<g transform="rotate(%d 200 340)"><rect x="138" y="112" width="128" height="184" rx="12" fill="#33261f" opacity=".14" transform="translate(4 6)"/><rect x="136" y="108" width="128" height="184" rx="12" fill="#fffaf0" stroke="#d9cdb8" stroke-width="2"/>`, angle)
		if i < 2 {
			d.s(`<rect x="146" y="118" width="108" height="164" rx="7" fill="{c}"/></g>`)
			continue
		}
		d.emblem(d.figureOf("heart"), 200, 200, 66, d.main.base, d.main.deep)
		d.emblem("heart", 156, 130, 20, d.accent.base, d.accent.deep)
		d.emblem("heart", 244, 270, 20, d.accent.base, d.accent.deep)
		d.p(`</g>`)
	}
}

// drawVase is a vase with nothing in it.
func drawVase(d *drawing) {
	d.s(`<path fill="{c}" d="M164 84h72q-2 40 14 66c30 44 34 86 16 142q-8 30-30 30h-72q-22 0-30-30c-18-56-14-98 16-142q16-26 14-66z"/><path fill="#33261f" opacity=".1" d="M236 84q-2 40 14 66c30 44 34 86 16 142q-8 30-30 30h-16c30-50 30-120 6-170q-10-26-8-68z"/><ellipse cx="200" cy="85" rx="36" ry="8" fill="{md}" opacity=".6"/><path fill="#fff" opacity=".25" d="M150 196q-12 44 2 96-8 4-12-8-10-40 0-82z"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("flower"), 200, 226, 60, contrast(d.main), d.accent.base)
	}
}
