package picture

import "math"

// Things that hang on a wall, a string or a hook.

func drawHeart(d *drawing) {
	d.cord(150)
	d.s(`<path fill="{c}" d="M200 330C112 262 82 216 92 170c10-50 76-60 108-10 32-50 98-40 108 10 10 46-20 92-108 160z"/><path fill="#33261f" opacity=".09" d="M276 134c18 6 29 20 32 36 10 46-20 92-108 160 70-76 94-130 76-196z"/><path fill="#fff" opacity=".25" d="M116 182q2-28 26-32 10 4 2 12-12 6-14 26-8 6-14-6z"/>`)
	d.bow(150, .8, d.accent)
}

func drawStar(d *drawing) {
	d.cord(96)
	d.s(`<path fill="{c}" d="M200 90l33 74 80 9-60 54 17 79-70-40-70 40 17-79-60-54 80-9z"/><path fill="#33261f" opacity=".1" d="M200 90l33 74-33 102zM313 173l-113 35 70 98-17-79z"/>`)
	d.bow(94, .5, d.accent)
}

func drawBunting(d *drawing) {
	d.flags(70, 70, 7, 84, 1)
	d.flags(226, 62, 8, 66, 0)
}

// flags hangs pennants along a sagging line from edge to edge.
func (d *drawing) flags(y, sag float64, n int, drop float64, shift int) {
	line := func(x float64) float64 { t := x/200 - 1; return y + sag*(1-t*t) }
	paints := []string{d.cloth, d.accent.base, d.main.light, d.cloth, d.accent.light}
	step := 400 / float64(n)
	for i := range n {
		a, b := float64(i)*step+3, float64(i+1)*step-3
		mid := (a + b) / 2
		d.p(`<path fill="%s" d="M%.1f %.1fL%.1f %.1fL%.1f %.1fz"/>`, paints[(i+shift)%len(paints)], a, line(a), b, line(b), mid, line(mid)+drop)
		d.p(`<path fill="#33261f" opacity=".08" d="M%.1f %.1fL%.1f %.1fL%.1f %.1fz"/>`, mid, line(mid), b, line(b), mid, line(mid)+drop)
	}
	d.p(`<path d="M0 %.0fQ200 %.0f 400 %.0f" fill="none" stroke="%s" stroke-width="7"/>`, y, y+2*sag, y, d.accent.deep)
}

func drawGarland(d *drawing) {
	for row, y := range []float64{60, 170, 280} {
		sag := 46.0
		d.p(`<path d="M0 %.0fQ200 %.0f 400 %.0f" fill="none" stroke="#8a7a66" stroke-width="4"/>`, y, y+2*sag, y)
		for i := range 5 {
			x := 40 + float64(i)*80
			t := x/200 - 1
			c, s := d.main.base, d.accent.base
			if (i+row)%2 == 1 {
				c, s = d.accent.base, d.main.base
			}
			d.emblem(d.figureOf("heart"), x, y+sag*(1-t*t)+22, 54, c, s)
		}
	}
}

func drawLights(d *drawing) {
	colors := []string{red, yellow, green, blue, orange}
	for _, y := range []float64{50, 150, 250} {
		sag := 44.0
		d.p(`<path d="M0 %.0fQ200 %.0f 400 %.0f" fill="none" stroke="#4d5a4c" stroke-width="4"/>`, y, y+2*sag, y)
		for i := range 6 {
			x := 34 + float64(i)*66
			t := x/200 - 1
			c := colors[(i+int(y/50))%5]
			if !d.words.has("CHILLI", "COLOUR", "ASSORTED", "MULTICOLOUR") {
				c = []string{d.main.base, d.accent.light}[i%2]
			}
			yy := y + sag*(1-t*t)
			d.p(`<circle cx="%.0f" cy="%.0f" r="40" fill="url(#glow)" opacity=".7"/><rect x="%.0f" y="%.0f" width="14" height="12" rx="3" fill="#4d5a4c"/><path fill="%s" d="M%.0f %.0fc-18 16-14 38 0 50 14-12 18-34 0-50z"/>`, x, yy+30, x-7, yy-2, c, x, yy+4)
		}
	}
}

func drawUmbrella(d *drawing) {
	d.s(`<path d="M200 78v216q0 34 32 34t32-30" fill="none" stroke="#7d5a40" stroke-width="11" stroke-linecap="round"/><path fill="{c}" d="M56 220C62 40 338 40 344 220q-24-26-48 0-24-26-48 0-24-26-48 0-24-26-48 0-24-26-48 0-24-26-48 0z"/><path fill="#33261f" opacity=".08" d="M200 85c30 30 46 80 48 135q24-26 48 0 24-26 48 0C340 110 270 84 200 85z"/><path d="M200 84c-32 34-46 82-48 136M200 84c32 34 46 82 48 136M200 84C130 92 106 150 104 220M200 84c70 8 94 66 96 136" fill="none" stroke="{md}" stroke-width="3" opacity=".5"/><circle cx="200" cy="78" r="8" fill="{a}"/>`)
}

func drawHook(d *drawing) {
	n := 1
	if d.words.has("RACK", "COAT", "HOOKS", "3", "4", "5") {
		n = 3
	}
	if n == 1 {
		d.s(`<rect x="152" y="80" width="96" height="160" rx="46" fill="{m}"/><path fill="#33261f" opacity=".08" d="M222 84q26 10 26 42v68q0 34-26 44 12-70 0-154z"/><path d="M200 196v60q0 46 46 46 34 0 34-34" fill="none" stroke="{md}" stroke-width="17" stroke-linecap="round"/><circle cx="280" cy="262" r="14" fill="{a}"/><g fill="{md}"><circle cx="200" cy="104" r="6"/><circle cx="200" cy="216" r="6"/></g>`)
		d.emblem(d.figureOf("flower"), 200, 156, 64, d.accent.base, d.accent.light)
		return
	}
	d.s(`<rect x="48" y="116" width="304" height="70" rx="14" fill="{m}"/><path fill="#33261f" opacity=".08" d="M48 160h304v12q0 14-14 14H62q-14 0-14-14z"/>`)
	for i, x := range []float64{104, 200, 296} {
		d.p(`<path d="M%.0f 176v46q0 34 30 34 22 0 22-22" fill="none" stroke="%s" stroke-width="13" stroke-linecap="round"/><circle cx="%.0f" cy="230" r="11" fill="%s"/>`, x, d.main.deep, x+52, d.accent.base)
		d.emblem(d.figureOf("heart"), x, 150, 38, []string{d.accent.base, d.accent.deep}[i%2], d.accent.light)
	}
}

func drawKnob(d *drawing) {
	d.p(`<ellipse cx="208" cy="216" rx="112" ry="112" fill="#3b2f2a" opacity=".14"/>`)
	d.s(`<circle cx="200" cy="202" r="112" fill="{c}"/><path fill="#33261f" opacity=".08" d="M262 109a112 112 0 0 1-124 186c80-4 140-90 124-186z"/><circle cx="200" cy="202" r="112" fill="none" stroke="{ml}" stroke-width="7"/><path fill="#fff" opacity=".35" d="M122 168q16-46 62-54 12 6 0 14-32 8-46 42-10 10-16-2z"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("flower"), 200, 202, 112, contrast(d.main), d.accent.base)
	}
}

func drawHanger(d *drawing) {
	d.s(`<path d="M200 176v-26q34-8 30-40-6-28-32-28-24 0-28 22" fill="none" stroke="#a9adb0" stroke-width="9" stroke-linecap="round"/><path fill="{c}" d="M200 160c14 0 20 8 26 14l118 74q16 14 8 28-8 12-28 8H76q-20 4-28-8-8-14 8-28l118-74c6-6 12-14 26-14zm0 44l-96 54h192z" fill-rule="evenodd"/>`)
	d.bow(168, .8, d.accent)
}

func drawSign(d *drawing) {
	d.s(`<circle cx="200" cy="52" r="7" fill="#7d6a58"/><path d="M200 52L96 132M200 52l104 80" stroke="#8a7a66" stroke-width="4"/><rect x="52" y="124" width="296" height="168" rx="12" fill="#3b2f2a" opacity=".14" transform="translate(4 8)"/><rect x="52" y="124" width="296" height="168" rx="12" fill="{m}"/><rect x="64" y="136" width="272" height="144" rx="7" fill="none" stroke="{a}" stroke-width="4"/><g fill="{md}"><circle cx="96" cy="134" r="4"/><circle cx="304" cy="134" r="4"/></g>`)
	d.inscribe(d.words.lettering(), 200, 208, 240, 120, readable(d.main, d.accent))
}

func drawChalkboard(d *drawing) {
	if d.words.has("HEART", "HEARTS") {
		d.s(`<path d="M150 128Q200 20 250 128" fill="none" stroke="#8a7a66" stroke-width="5"/><path fill="#4b545b" d="M200 336C108 264 78 216 88 168c10-50 80-62 112-12 32-50 102-38 112 12 10 48-20 96-112 168z"/><path d="M200 316C122 254 98 212 106 174c10-36 66-46 94 10 28-56 84-46 94-10 8 38-16 80-94 142z" fill="none" stroke="#e9e6df" stroke-width="3" stroke-dasharray="2 7" stroke-linecap="round"/>`)
		d.inscribe([]string{"WITH", "LOVE"}, 200, 214, 150, 92, "#f3efe6")
		return
	}
	d.s(`<path d="M130 112Q200 10 270 112" fill="none" stroke="#8a7a66" stroke-width="5"/><rect x="78" y="104" width="244" height="200" rx="8" fill="{m}"/><rect x="96" y="122" width="208" height="164" rx="3" fill="#48525a"/>`)
	d.inscribe([]string{"TEA", "CAKE", "JAM"}, 186, 204, 150, 130, "#f3efe6")
	d.emblem("heart", 270, 256, 28, "#e8c3c0", "#fff")
}

func drawWreath(d *drawing) {
	d.cord(90)
	for i := range 20 {
		c := []string{d.main.base, d.main.light, d.main.shade}[i%3]
		d.p(`<path fill="%s" d="M200 92q34-30 48 8-26 22-48-8zM200 112q-34 20-44-10 30-16 44 10z" transform="rotate(%d 200 202)"/>`, c, i*18)
	}
	for i := range 7 {
		a := float64(i)*2*math.Pi/7 + .3
		d.p(`<circle cx="%.0f" cy="%.0f" r="10" fill="%s"/>`, 200+100*math.Cos(a), 202+100*math.Sin(a), red)
	}
	d.bow(300, 1, newTone(red))
}

func drawBauble(d *drawing) {
	d.cord(110)
	if d.words.has("HEART", "HEARTS") {
		drawHeart(d)
		return
	}
	if d.words.has("STAR", "STARS") {
		drawStar(d)
		return
	}
	d.s(`<rect x="184" y="96" width="32" height="26" rx="5" fill="#c9a24f"/><circle cx="200" cy="218" r="102" fill="{c}"/><path fill="#33261f" opacity=".1" d="M254 131a102 102 0 0 1-110 172c74-6 128-84 110-172z"/><path fill="#fff" opacity=".35" d="M126 196q10-46 46-60 12 4 2 14-26 14-34 48-8 8-14-2z"/>`)
	if d.cloth == d.main.base {
		d.s(`<path d="M99 206q101 32 202 0M106 250q94 32 188 0" fill="none" stroke="{al}" stroke-width="6"/>`)
		d.emblem(d.figureOf("snow"), 200, 242, 46, contrast(d.main), d.accent.base)
	}
	d.bow(100, .6, d.accent)
}

func drawPlate(d *drawing) {
	d.p(`<circle cx="206" cy="214" r="126" fill="#3b2f2a" opacity=".13"/>`)
	d.s(`<circle cx="200" cy="202" r="126" fill="{c}"/><circle cx="200" cy="202" r="126" fill="none" stroke="{a}" stroke-width="8"/><circle cx="200" cy="202" r="86" fill="#fdf9f0"/><circle cx="200" cy="202" r="86" fill="none" stroke="#33261f" stroke-opacity=".1" stroke-width="4"/>`)
	d.emblem(d.figureOf("flower"), 200, 202, 100, d.main.shade, d.accent.base)
}

func drawNapkins(d *drawing) {
	d.s(`<g transform="rotate(-6 200 240)"><path fill="{ms}" d="M92 188h216v134H92z"/><path fill="#fffaf0" d="M90 180h220v134H90z"/><path d="M90 300h220M90 306h220" stroke="{ms}" stroke-width="2"/><path fill="{c}" d="M88 166h224v132H88z"/><path fill="#fff" opacity=".2" d="M88 166h224L88 298z"/><path d="M200 166v132" stroke="#33261f" stroke-opacity=".12" stroke-width="3"/><rect x="96" y="174" width="208" height="116" fill="none" stroke="#fff" stroke-opacity=".6" stroke-width="3" stroke-dasharray="4 5"/></g>`)
}

func drawDoily(d *drawing) {
	d.p(`<g fill="%s">`, d.main.base)
	for i := range 16 {
		d.p(`<circle cx="200" cy="90" r="26" transform="rotate(%.1f 200 202)"/>`, float64(i)*22.5)
	}
	d.p(`<circle cx="200" cy="202" r="116"/></g>`)
	hole := mix(d.main.base, "#5a4636", .28)
	for i := range 16 {
		d.p(`<g fill="%s" transform="rotate(%.1f 200 202)"><circle cx="200" cy="86" r="9"/><path d="M200 112q9 12 0 26-9-14 0-26z"/><circle cx="200" cy="156" r="5"/></g>`, hole, float64(i)*22.5)
	}
	d.emblem(d.figureOf("flower"), 200, 202, 56, d.accent.light, d.main.base)
}

func drawCutter(d *drawing) {
	f := d.figureOf("heart")
	if d.words.has("GINGERBREAD") {
		d.s(`<path d="M200 62c30 0 42 24 36 50 22 12 56 6 66 26 6 20-12 32-56 30l8 50c22 40 40 60 22 78-24 18-50-18-76-52-26 34-52 70-76 52-18-18 0-38 22-78l8-50c-44 2-62-10-56-30 10-20 44-14 66-26-6-26 6-50 36-50z" transform="translate(0 22)" fill="#d8a877" stroke="{m}" stroke-width="13" stroke-linejoin="round"/><g fill="#fff7e8"><circle cx="186" cy="122" r="6"/><circle cx="214" cy="122" r="6"/><circle cx="200" cy="186" r="6"/><circle cx="200" cy="212" r="6"/></g><path d="M186 142q14 12 28 0" fill="none" stroke="#fff7e8" stroke-width="5" stroke-linecap="round"/>`)
		return
	}
	d.p(`<g transform="translate(68 70) scale(11)" stroke-width="1.6" stroke-linejoin="round" stroke="%s">`, d.main.shade)
	d.shape(figures[f], "#e6c08d", "#e6c08d")
	d.p(`</g><g transform="translate(82 84) scale(9.8)" fill="none" stroke-width=".35" stroke="%s">`, d.main.light)
	d.shape(figures[f], "none", "none")
	d.p(`</g>`)
}

func drawNecklace(d *drawing) {
	d.s(`<path d="M110 0C100 130 140 246 200 246S300 130 290 0" fill="none" stroke="#bda06a" stroke-width="3"/>`)
	for i := range 19 {
		a := math.Pi * (float64(i) + .5) / 19
		x, y := 200-92*math.Cos(a), 60+188*math.Sin(a)
		r := 8.0
		c := d.main.base
		if i%3 == 1 {
			r, c = 11, d.accent.base
		}
		d.p(`<circle cx="%.1f" cy="%.1f" r="%.0f" fill="%s"/><circle cx="%.1f" cy="%.1f" r="%.1f" fill="#fff" opacity=".5"/>`, x, y, r, c, x-r/3, y-r/3, r/3)
	}
	d.s(`<circle cx="200" cy="262" r="9" fill="none" stroke="#bda06a" stroke-width="4"/>`)
	d.emblem(d.figureOf("heart"), 200, 306, 76, d.main.base, d.main.light)
}

func drawBracelet(d *drawing) {
	d.p(`<ellipse cx="206" cy="222" rx="120" ry="104" fill="none" stroke="#3b2f2a" stroke-opacity=".12" stroke-width="24"/>`)
	for i := range 18 {
		a := 2 * math.Pi * float64(i) / 18
		x, y := 200+118*math.Cos(a), 208+102*math.Sin(a)
		c := []string{d.main.base, d.accent.base, d.main.light}[i%3]
		d.p(`<circle cx="%.1f" cy="%.1f" r="19" fill="%s"/><circle cx="%.1f" cy="%.1f" r="6" fill="#fff" opacity=".5"/>`, x, y, c, x-6, y-6)
	}
	d.emblem(d.figureOf("heart"), 200, 318, 62, d.main.shade, d.main.light)
}

func drawEarrings(d *drawing) {
	for _, x := range []float64{128, 272} {
		d.p(`<path d="M%.0f 128q-4-58 22-58 24 2 20 30" fill="none" stroke="#bda06a" stroke-width="5" stroke-linecap="round"/><circle cx="%.0f" cy="142" r="14" fill="%s"/><circle cx="%.0f" cy="137" r="4.5" fill="#fff" opacity=".6"/>`, x, x, d.accent.base, x-5)
		d.p(`<path fill="%s" d="M%.0f 160c36 52 44 74 44 98a44 44 0 0 1-88 0c0-24 8-46 44-98z"/><path fill="#fff" opacity=".3" d="M%.0f 216q-16 22-16 42 2 12 10 4 0-20 10-40z"/>`, d.main.base, x, x-4)
		d.emblem(d.figureOf("flower"), x, 258, 44, contrast(d.main), d.accent.light)
	}
}

func drawBow(d *drawing) {
	d.with(d.main.base, d.accent.base, func() { d.bow(180, 2.7, d.main) })
	if f := d.figureOf(""); f != "" {
		d.emblem(f, 200, 182, 56, d.accent.base, d.accent.light)
	}
}

func drawCutlery(d *drawing) {
	d.s(`<g fill="{m}"><path d="M112 70q-4 0-4 6v62q0 22 18 28v150q0 14 12 14t12-14V166q18-6 18-28V76q0-6-5-6t-5 6v54h-8V76q0-6-5-6t-5 6v54h-8V76q0-6-5-6t-5 6v54h-6V76q0-6-4-6z" transform="translate(-24 0)"/><path d="M200 66c30 0 40 36 36 64-2 20-12 32-24 38v148q0 14-12 14t-12-14V168c-12-6-22-18-24-38-4-28 6-64 36-64z"/><path d="M272 66q34 20 34 92v44h-22v114q0 14-12 14z"/></g><g fill="{a}"><path d="M101 230h26v86q0 14-13 14t-13-14z"/><path d="M187 230h26v86q0 14-13 14t-13-14z"/><path d="M271 230h26v86q0 14-13 14t-13-14z"/></g>`)
}

func drawPan(d *drawing) {
	d.s(`<g transform="rotate(-38 200 200)"><rect x="292" y="186" width="128" height="30" rx="15" fill="{md}"/><circle cx="400" cy="201" r="6" fill="#f1e9dc"/><circle cx="190" cy="200" r="112" fill="{m}"/><circle cx="190" cy="200" r="92" fill="{md}"/></g>`)
	if f := d.figureOf(""); f == "heart" || f == "star" {
		d.emblem(f, 190, 206, 132, "#fffaf0", "#f3c24f")
	} else {
		d.p(`<path fill="#fffaf0" d="M140 190q6-46 60-40 56-8 54 44 18 56-42 60-66 18-78-30-14-18 6-34z"/>`)
	}
	d.p(`<circle cx="192" cy="202" r="24" fill="#f0b945"/><circle cx="185" cy="195" r="7" fill="#fbe09a"/>`)
}

func drawApron(d *drawing) {
	d.s(`<path d="M158 116C150 40 250 40 242 116" fill="none" stroke="{a}" stroke-width="9"/><path fill="{c}" d="M152 108h96l8 62q34 10 48 40l-14 112q-90 22-180 0L96 210q14-30 48-40z"/><path fill="#33261f" opacity=".08" d="M256 170q34 10 48 40l-14 112q-24 6-46 9 20-80 12-161z"/><path d="M98 214Q40 220 36 262M302 214q58 6 62 48" fill="none" stroke="{a}" stroke-width="8" stroke-linecap="round"/><path fill="{a}" d="M150 234h100v58q-50 16-100 0z"/><path d="M150 244h100" stroke="{al}" stroke-width="5"/>`)
}

func drawTowel(d *drawing) {
	d.s(`<path d="M60 92h280" stroke="#a8835c" stroke-width="14" stroke-linecap="round"/><path fill="{ms}" d="M128 96h150v214H128z"/><path fill="{c}" d="M112 88h160v232H112z"/><path fill="#33261f" opacity=".07" d="M160 92h22v228h-22zM222 92h22v228h-22z"/><path fill="{a}" d="M112 270h160v14H112zM112 294h160v7H112z"/><path d="M60 86h280" stroke="#c9a57c" stroke-width="4" stroke-linecap="round"/><path d="M112 320v12M124 320v12M136 320v12M148 320v12M160 320v12M172 320v12M184 320v12M196 320v12M208 320v12M220 320v12M232 320v12M244 320v12M256 320v12M270 320v12" stroke="{ms}" stroke-width="4"/>`)
}

func drawStocking(d *drawing) {
	d.cord(92)
	d.s(`<path fill="{c}" d="M148 130h104v104q0 14 12 22l40 26q24 18 10 44-14 22-44 8l-94-48q-28-14-28-48z"/><path fill="{a}" d="M270 286l34-4q24 18 10 44-14 22-44 8zM148 226q40 10 40 52-40-14-40-52z"/><rect x="136" y="92" width="128" height="52" rx="16" fill="#fbf6ec"/>`)
}

func drawCushion(d *drawing) {
	d.s(`<path fill="{c}" d="M96 146q104 26 208 0 14-4 10 12-24 72 0 148 4 16-10 12-104-26-208 0-14 4-10-12 24-76 0-148-4-16 10-12z"/><path fill="#33261f" opacity=".09" d="M304 146q14-4 10 12-24 72 0 148 4 16-10 12-20-5-40-8 26-82 0-157 20-3 40-7z"/><path d="M96 146q104 26 208 0 14-4 10 12-24 72 0 148 4 16-10 12-104-26-208 0-14 4-10-12 24-76 0-148-4-16 10-12z" fill="none" stroke="{a}" stroke-width="6"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("heart"), 200, 232, 96, contrast(d.main), d.accent.base)
	}
}

func drawDoormat(d *drawing) {
	d.s(`<path d="M62 318h276" stroke="{md}" stroke-width="12" stroke-dasharray="5 4"/><path fill="{c}" d="M112 196h176l58 118H54z"/><path fill="none" stroke="{a}" stroke-width="8" d="M124 208h152l44 94H80z"/>`)
	if d.cloth == d.main.base {
		d.p(`<g transform="translate(0 110) scale(1 .58)">`)
		d.emblem(d.figureOf("heart"), 200, 252, 100, contrast(d.main), d.accent.base)
		d.p(`</g>`)
	}
}

func drawPegs(d *drawing) {
	d.p(`<path d="M0 110Q200 150 400 110" fill="none" stroke="#8a7a66" stroke-width="5"/>`)
	for i, c := range []string{d.main.base, d.accent.base, d.main.light, d.accent.shade} {
		d.p(`<g transform="translate(%d %d) rotate(%d)"><path fill="%s" d="M-17-20q17-14 34 0v170q-10 8-14-4V20h-6v126q-4 12-14 4z"/><path d="M-17 6h34" stroke="#8f9497" stroke-width="7"/></g>`, 78+i*82, 124-(i-1)*(i-2)*2, (i-1)*3, c)
	}
}

func drawBell(d *drawing) {
	d.cord(92)
	d.s(`<circle cx="200" cy="300" r="22" fill="{md}"/><path fill="{m}" d="M200 96c70 0 74 70 80 120 4 34 26 48 40 68q4 12-10 12H90q-14 0-10-12c14-20 36-34 40-68 6-50 10-120 80-120z"/><path fill="#33261f" opacity=".1" d="M234 104c40 22 42 72 46 112 4 34 26 48 40 68q4 12-10 12h-58c14-60 6-150-18-192z"/><path d="M92 278h216" stroke="{ml}" stroke-width="8"/>`)
	d.bow(96, .9, d.accent)
}

func drawButterfly(d *drawing) {
	d.s(`<g><path fill="{m}" d="M200 214C150 60 50 84 70 170q16 58 130 44zM200 214c50-154 150-130 130-44q-16 58-130 44z"/><path fill="{ms}" d="M200 214c-90 4-110 70-74 100 40 24 74-40 74-100zM200 214c90 4 110 70 74 100-40 24-74-40-74-100z"/><g fill="{al}"><circle cx="116" cy="156" r="19"/><circle cx="284" cy="156" r="19"/><circle cx="146" cy="274" r="14"/><circle cx="254" cy="274" r="14"/></g><path fill="{al}" opacity=".6" d="M190 200q-24-58-56-70 8 48 56 70zM210 200q24-58 56-70-8 48-56 70z"/></g><path d="M200 176v120" stroke="#4a3b33" stroke-width="15" stroke-linecap="round"/><path d="M197 168q-10-46-36-50M203 168q10-46 36-50" fill="none" stroke="#4a3b33" stroke-width="4" stroke-linecap="round"/>`)
}

func drawBalloons(d *drawing) {
	d.s(`<path d="M140 236Q170 320 200 380M262 214Q230 320 200 380M202 190Q204 300 200 380" fill="none" stroke="#8a7a66" stroke-width="3"/><path fill="{a}" d="M262 70c36 0 58 28 58 66 0 42-34 72-58 74-24-2-58-32-58-74 0-38 22-66 58-66z"/><path fill="{ml}" d="M138 96c36 0 58 28 58 66 0 42-34 72-58 74-24-2-58-32-58-74 0-38 22-66 58-66z"/><path fill="{c}" d="M202 46c38 0 60 30 60 70 0 44-36 76-60 78-24-2-60-34-60-78 0-40 22-70 60-70z"/><path fill="#fff" opacity=".35" d="M164 104q4-30 24-36 8 4 0 14-12 8-14 26-6 6-10-4z"/>`)
}

func drawFan(d *drawing) {
	d.p(`<g transform="translate(200 290) scale(.84)">`)
	for i := range 13 {
		c := []string{d.main.base, d.main.light}[i%2]
		d.p(`<path fill="%s" d="M-4-60L-25-216Q0-226 25-216L4-60z" transform="rotate(%d)"/>`, c, -72+i*12)
	}
	for i := range 13 {
		d.p(`<path fill="#c0946a" d="M-3 6L-5-96h10L3 6z" transform="rotate(%d)"/>`, -72+i*12)
	}
	for i := range 5 {
		d.p(`<g transform="rotate(%d) translate(-200 -340)">`, -56+i*28)
		d.emblem(d.figureOf("flower"), 200, 174, 38, d.accent.base, d.accent.light)
		d.p(`</g>`)
	}
	d.s(`<circle r="11" fill="{ad}"/><path d="M0 10q-14 30 0 54M-8 66h16" fill="none" stroke="{a}" stroke-width="5" stroke-linecap="round"/></g>`)
}

func drawGlider(d *drawing) {
	d.s(`<g fill="#fff" opacity=".75"><path d="M40 300q10-30 44-22 16-28 48-10 34-4 30 32zM250 96q8-24 34-18 14-22 38-8 28-2 24 26z"/></g><g transform="rotate(-14 200 200)"><path fill="{ms}" d="M176 176L70 96q-14-8-4-18h24q10 0 18 6l124 92z"/><path fill="{m}" d="M52 186q-12-44 4-46h22l30 40 168-6q52 4 62 26-14 28-70 30H92q-30-6-40-44z"/><path fill="#33261f" opacity=".12" d="M58 212q120 8 280-14-14 30-70 32H92q-22-4-34-18z"/><path fill="#d6e6ec" d="M262 176q34 2 46 20h-58q-6-18 12-20z"/><path fill="{ml}" d="M238 204L116 298q-12 10 2 16h26q10 0 16-8l116-102z"/><path fill="{ad}" d="M336 160q12-2 12 40t-12 40q-6 0-6-40t6-40z" opacity=".8"/></g>`)
	d.p(`<g transform="rotate(-14 200 200)">`)
	d.emblem("star", 150, 204, 40, d.accent.base, d.accent.deep)
	d.p(`</g>`)
}

func drawWindmill(d *drawing) {
	d.s(`<path d="M200 190v210" stroke="#c0946a" stroke-width="13"/>`)
	for i := range 4 {
		c, e := d.cloth, d.accent.base
		if i%2 == 1 {
			c, e = d.accent.light, d.main.base
		}
		d.p(`<g transform="rotate(%d 200 190)"><path fill="%s" d="M200 190V62q70 6 96 66-30 52-96 62z"/><path fill="%s" d="M200 62q-4 40 30 64 40 16 66 2-26-60-96-66z"/></g>`, i*90+12, c, e)
	}
	d.s(`<circle cx="200" cy="190" r="13" fill="#fbf6ec"/><circle cx="200" cy="190" r="6" fill="{md}"/>`)
}

func drawKeyfob(d *drawing) {
	d.s(`<circle cx="200" cy="110" r="54" fill="none" stroke="#b7bfc3" stroke-width="11"/><circle cx="200" cy="110" r="54" fill="none" stroke="#dfe4e6" stroke-width="3"/><g transform="rotate(22 200 160)"><circle cx="200" cy="206" r="36" fill="none" stroke="#cfa54e" stroke-width="16"/><path d="M200 240v106M200 340h30M200 310h22" stroke="#cfa54e" stroke-width="15" stroke-linecap="round"/></g><g transform="rotate(-20 200 160)"><path fill="{c}" d="M168 176q32-26 64 0l20 30v104q0 12-12 12h-80q-12 0-12-12V206z"/><circle cx="200" cy="186" r="10" fill="#fbf6ec"/></g>`)
	d.p(`<g transform="rotate(-20 200 160)">`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("heart"), 200, 258, 64, contrast(d.main), d.accent.base)
	}
	d.p(`</g>`)
}
