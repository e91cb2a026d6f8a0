package picture

// Things that stand: lights, clocks, toys, papers, and what is left.

func drawCandle(d *drawing) {
	d.s(`<ellipse cx="200" cy="312" rx="92" ry="14" fill="{as}"/><ellipse cx="200" cy="307" rx="92" ry="13" fill="{a}"/><path fill="{c}" d="M152 158h96v144q-48 16-96 0z"/><path fill="#33261f" opacity=".1" d="M222 158h26v144q-12 4-26 6z"/><ellipse cx="200" cy="158" rx="48" ry="10" fill="{ml}"/><path fill="{ml}" d="M152 158q3 40 10 40t8-24 10-6 8 18 9-22z"/>`)
	d.flame(200, 158)
}

func drawLantern(d *drawing) {
	d.s(`<circle cx="200" cy="84" r="18" fill="none" stroke="{md}" stroke-width="7"/><path fill="{ms}" d="M184 100h32l40 50H144z"/><path fill="{m}" d="M130 148h140v16H130z"/><path fill="#f8edcf" d="M142 164h116v134H142z"/><circle cx="200" cy="230" r="66" fill="url(#glow)"/><rect x="180" y="244" width="40" height="54" rx="4" fill="#fdf6e6"/>`)
	d.flame(200, 244)
	d.s(`<path fill="{m}" d="M136 160h14v142h-14zM250 160h14v142h-14z"/><path d="M150 164l50 40 50-40" fill="none" stroke="{m}" stroke-width="5"/><path fill="{ms}" d="M122 298h156v24H122z"/><path fill="{m}" d="M122 298h156v9H122z"/>`)
	if d.words.has("HEART", "HEARTS") {
		d.emblem("heart", 200, 130, 30, d.accent.base, d.accent.deep)
	} else if d.words.has("STAR", "STARS", "MOROCCAN") {
		d.emblem("star", 200, 130, 30, d.accent.base, d.accent.deep)
	}
}

func drawClock(d *drawing) {
	if d.words.has("ALARM", "BAKELIKE") {
		d.s(`<path d="M140 296l-22 28M260 296l22 28" stroke="{md}" stroke-width="13" stroke-linecap="round"/><path d="M200 112V92" stroke="{md}" stroke-width="8"/><path fill="{ms}" d="M112 140a46 46 0 0 1 74-38zM288 140a46 46 0 0 0-74-38z"/><path d="M166 92q34-34 68 0" fill="none" stroke="{md}" stroke-width="8" stroke-linecap="round"/>`)
	}
	d.s(`<circle cx="200" cy="212" r="106" fill="{m}"/><path fill="#33261f" opacity=".12" d="M200 106a106 106 0 0 1 0 212 122 122 0 0 0 0-212z"/><circle cx="200" cy="212" r="84" fill="#fbf6ea"/><circle cx="200" cy="212" r="84" fill="none" stroke="{md}" stroke-width="4" opacity=".5"/>`)
	for i := range 12 {
		w := 4
		if i%3 == 0 {
			w = 8
		}
		d.p(`<path d="M200 138v14" stroke="#4a403a" stroke-width="%d" stroke-linecap="round" transform="rotate(%d 200 212)"/>`, w, i*30)
	}
	d.s(`<path d="M200 212l-36-26M200 212l30-46" stroke="#3d3a3c" stroke-width="8" stroke-linecap="round"/><circle cx="200" cy="212" r="9" fill="{m}"/>`)
}

func drawCakestand(d *drawing) {
	tiers := [][2]int{{292, 112}, {216, 84}, {146, 56}}
	if d.words.has("2") {
		tiers = tiers[:2]
	}
	if d.words.has("STAND", "PLATE") && !d.words.has("3") {
		tiers = [][2]int{{216, 112}}
	}
	top := tiers[len(tiers)-1][0]
	d.p(`<path d="M200 322V%d" stroke="%s" stroke-width="9"/><circle cx="200" cy="%d" r="11" fill="none" stroke="%s" stroke-width="6"/>`, top-44, gold, top-54, gold)
	d.s(`<path fill="{ms}" d="M152 322q48-44 96 0z"/>`)
	for i, t := range tiers {
		y, r := t[0], t[1]
		for k := -1; k <= 1; k++ {
			x := 200 + k*r*6/10
			if k == 0 && i != 0 || r < 70 && k == 0 {
				continue
			}
			d.p(`<g transform="translate(%d %d)"><path fill="%s" d="M-16-20h32l-5 22h-22z"/><path fill="%s" d="M-20-18q0-20 20-22 20 2 20 22z"/><circle cy="-42" r="5" fill="#c2453d"/></g>`,
				x, y-8, d.accent.shade, []string{"#f6dce0", "#f7ecd2", "#e6d2c0"}[(i+k+3)%3])
		}
		d.p(`<ellipse cx="200" cy="%d" rx="%d" ry="15" fill="%s"/><ellipse cx="200" cy="%d" rx="%d" ry="14" fill="%s"/><ellipse cx="200" cy="%d" rx="%d" ry="14" fill="none" stroke="%s" stroke-width="3"/>`,
			y+4, r, d.main.shade, y, r, d.cloth, y, r, gold)
	}
}

func drawCupcake(d *drawing) {
	d.s(`<path fill="{c}" d="M134 222h132l-22 92q-2 8-10 8h-68q-8 0-10-8z"/><path d="M156 226l12 92M178 226l6 94M222 226l-6 94M244 226l-12 92" stroke="#33261f" stroke-width="3" opacity=".15"/><path fill="#f6e3d8" d="M120 222c-14-30 12-46 22-46 0-34 36-44 58-62 22 18 58 28 58 62 10 0 36 16 22 46-12 14-28 4-36 0-12 14-32 10-44 0-12 10-32 14-44 0-8 4-24 14-36 0z"/><path fill="#e9c6bb" opacity=".75" d="M142 176c30 20 80 20 116 0 6 2 16 8 22 16-40 24-120 24-160 0 6-8 16-16 22-16z"/><circle cx="200" cy="108" r="18" fill="#c2453d"/><circle cx="194" cy="102" r="5" fill="#fff" opacity=".6"/><path d="M202 92q4-22 22-26" fill="none" stroke="#6b4a35" stroke-width="3"/>`)
}

func drawFrame(d *drawing) {
	d.s(`<rect x="100" y="86" width="200" height="236" rx="6" fill="{m}"/><path fill="#33261f" opacity=".1" d="M280 86h14q6 0 6 6v224q0 6-6 6H106q-6 0-6-6v-10h180z"/><rect x="120" y="106" width="160" height="196" fill="{ms}"/><rect x="125" y="111" width="150" height="186" fill="#fbf7ee"/>`)
	switch f := d.figureOf(""); f {
	case "":
		d.s(`<rect x="142" y="132" width="116" height="144" fill="#d5e4ea"/><circle cx="226" cy="164" r="17" fill="#f6dc93"/><path fill="#9db494" d="M142 238q34-40 66-8 26-26 50-2v48H142z"/><path fill="#6f9a70" d="M142 256q40-22 70-4 26-14 46 0v24H142z"/>`)
	default:
		d.p(`<rect x="142" y="132" width="116" height="144" fill="%s"/>`, mix(d.accent.base, "#ffffff", .72))
		d.emblem(f, 200, 204, 92, d.accent.base, d.accent.deep)
	}
	d.s(`<path fill="{ml}" opacity=".7" d="M100 86h200v6H106v224h-6z"/>`)
}

func drawMirror(d *drawing) {
	d.s(`<path fill="{ms}" d="M186 262h28v46h40q8 0 8 14H138q0-14 8-14h40z"/><ellipse cx="200" cy="176" rx="92" ry="112" fill="{m}"/><ellipse cx="200" cy="176" rx="92" ry="112" fill="none" stroke="{md}" stroke-width="3" opacity=".35"/><ellipse cx="200" cy="176" rx="72" ry="92" fill="#cfe0e6"/><path fill="#fff" opacity=".55" d="M150 208l84-108 20 20-90 116zM176 248l82-106 8 14-76 98z"/>`)
	d.emblem(d.figureOf("flower"), 200, 72, 44, d.accent.base, d.accent.light)
}

func drawDoll(d *drawing) {
	d.s(`<path fill="{c}" d="M200 84c48 0 66 38 58 78 44 36 58 96 44 140q-6 20-26 20H124q-20 0-26-20c-14-44 0-104 44-140-8-40 10-78 58-78z"/><path fill="#33261f" opacity=".09" d="M258 162c44 36 58 96 44 140q-6 20-26 20h-22c30-40 30-110 4-160z"/><circle cx="200" cy="148" r="43" fill="#f3d2b8"/><path fill="#6b4a35" d="M158 144c0-54 84-54 84 0-16-6-32-16-42-30-10 14-26 24-42 30z"/><g fill="#3d3a3c"><circle cx="184" cy="152" r="4"/><circle cx="216" cy="152" r="4"/></g><g fill="#e59a93"><circle cx="174" cy="164" r="7"/><circle cx="226" cy="164" r="7"/></g><path d="M191 168q9 8 18 0" fill="none" stroke="#b8524a" stroke-width="4" stroke-linecap="round"/><path fill="{a}" d="M160 188q40 22 80 0l-12 22q-28 12-56 0z"/><ellipse cx="200" cy="262" rx="52" ry="48" fill="#fbf4e4"/>`)
	d.emblem("flower", 200, 262, 64, d.main.base, gold)
}

func drawBlocks(d *drawing) {
	word := []rune("HOME")
	if text := d.words.lettering(); len(text) > 0 && text[0] != "" {
		word = []rune(text[0])
	}
	word = word[:min(len(word), 6)]
	n := len(word)
	side := min(96, 320/n)
	x0 := 200 - n*side/2
	inks := []string{readable(d.main, d.accent), readable(d.main, newTone(slate)), readable(d.main, newTone(red))}
	for i := range n {
		x := x0 + i*side
		y := 322 - side
		d.p(`<g transform="rotate(%d %d 322)"><rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s"/><path fill="%s" d="M%d %dh%dv%dh-%dz" opacity=".7"/>`,
			[]int{0, -2, 1, 0, 2, -1}[i%6], x+side/2, x+2, y, side-4, side, d.main.base, d.main.shade, x+side-12, y+4, 10, side-8, 10)
		d.write(string(word[i]), float64(x+side/2-3), float64(322-side*28/100), float64(side)*.64, inks[i%3])
		d.p(`</g>`)
	}
}

func drawTree(d *drawing) {
	d.s(`<path fill="#8b664b" d="M186 290h28v32h-28z"/><path fill="{ms}" d="M200 190l96 106H104z"/><path fill="{m}" d="M200 138l78 98H122z"/><path fill="{ml}" d="M200 86l58 84H142z"/><path fill="#33261f" opacity=".1" d="M200 86l58 84h-26l46 66h-30l48 60h-66z"/><path d="M134 280q70 22 124-18M144 222q56 20 98-16M164 160q36 12 62-8" fill="none" stroke="#f2d27c" stroke-width="4"/>`)
	d.emblem("star", 200, 76, 46, "#e8b84a", "#fff")
	for i, at := range [][2]int{{150, 286}, {206, 290}, {250, 280}, {170, 226}, {226, 228}, {196, 178}, {228, 160}} {
		d.p(`<circle cx="%d" cy="%d" r="9" fill="%s"/>`, at[0], at[1], []string{red, ivory, gold}[i%3])
	}
}

func drawCard(d *drawing) {
	d.s(`<path fill="{ms}" d="M262 120l42 22v180l-42-8z"/><rect x="104" y="112" width="160" height="210" rx="3" fill="{c}" transform="rotate(-2 184 217)"/><rect x="120" y="130" width="126" height="172" rx="2" fill="#fffaf0" opacity=".9" transform="rotate(-2 184 217)"/>`)
	d.emblem(d.figureOf("heart"), 183, 204, 88, d.accent.base, d.accent.light)
	d.s(`<path d="M150 270h66M162 284h42" stroke="{ad}" stroke-width="4" stroke-linecap="round" opacity=".5"/>`)
}

func drawWrap(d *drawing) {
	d.s(`<g transform="rotate(-18 200 240)"><rect x="70" y="196" width="262" height="64" rx="10" fill="{c}"/><path fill="#33261f" opacity=".13" d="M80 236h242q10 0 10 12t-10 12H80q-10 0-10-12t10-12z"/><ellipse cx="330" cy="228" rx="13" ry="32" fill="{ml}"/><ellipse cx="330" cy="228" rx="6" ry="17" fill="{md}"/></g><g transform="rotate(9 200 290)"><rect x="66" y="262" width="266" height="58" rx="10" fill="{a}"/><path fill="#33261f" opacity=".12" d="M76 298h246q10 0 10 11t-10 11H76q-10 0-10-11t10-11z"/><path fill="{c}" d="M174 262h56v58h-56z"/><ellipse cx="330" cy="291" rx="12" ry="29" fill="{al}"/><ellipse cx="330" cy="291" rx="5.5" ry="15" fill="{ad}"/></g>`)
}

func drawNotebook(d *drawing) {
	d.s(`<g transform="rotate(-5 200 220)"><path fill="#f7f0e0" d="M126 112h164v210H126z"/><path d="M284 116v204M280 116v204" stroke="#d8cdb6" stroke-width="2"/><rect x="112" y="104" width="168" height="216" rx="8" fill="{c}"/><path fill="{ad}" d="M120 104h14v216h-14q-8 0-8-8V112q0-8 8-8z"/><path fill="{a}" d="M250 104h12v216h-12z"/>`)
	if d.cloth == d.main.base {
		d.p(`<rect x="152" y="150" width="80" height="62" rx="6" fill="#fbf5e6"/>`)
		d.emblem(d.figureOf("bird"), 192, 181, 44, d.main.base, d.main.deep)
	} else {
		d.p(`<rect x="152" y="156" width="80" height="46" rx="6" fill="#fbf5e6"/><path d="M166 174h52M174 186h36" stroke="#8a7d6c" stroke-width="3.5" stroke-linecap="round"/>`)
	}
	d.p(`</g>`)
}

func drawPencils(d *drawing) {
	for i, c := range []string{d.accent.base, gold, d.main.light, green, blue} {
		x, lean := 140+i*30, (i-2)*5
		d.p(`<g transform="rotate(%d %d 300)"><path fill="%s" d="M%d 126h20v150h-20z"/><path fill="#ecd3ad" d="M%d 126l10-32 10 32z"/><path fill="%s" d="M%d 106l3.5-12 3.5 12z"/><path fill="#33261f" opacity=".13" d="M%d 126h7v150h-7z"/></g>`,
			lean, x, c, x-10, x-10, c, x-3, x+3)
	}
	d.s(`<path fill="{c}" d="M132 206h136l-8 106q-1 10-12 10h-96q-11 0-12-10z"/><path fill="#33261f" opacity=".12" d="M240 206h28l-8 106q-1 10-12 10h-18z"/><path fill="{ml}" d="M128 200h144v14H128z"/>`)
}

func drawScales(d *drawing) {
	d.s(`<path fill="{ms}" d="M104 122h192q-6 44-56 48h-80q-50-4-56-48z"/><ellipse cx="200" cy="122" rx="96" ry="14" fill="{ml}"/><path fill="{md}" d="M186 166h28v22h-28z"/><path fill="{m}" d="M140 184h120l26 126q2 12-10 12H124q-12 0-10-12z"/><circle cx="200" cy="252" r="50" fill="#fbf6ea" stroke="{md}" stroke-width="4"/>`)
	for i := range 8 {
		d.p(`<path d="M200 210v9" stroke="#4a403a" stroke-width="4" transform="rotate(%d 200 252)"/>`, i*45)
	}
	d.s(`<path d="M200 256l18-38" stroke="{a}" stroke-width="6" stroke-linecap="round"/><circle cx="200" cy="252" r="7" fill="#3d3a3c"/>`)
}

func drawLamp(d *drawing) {
	d.s(`<circle cx="200" cy="190" r="140" fill="url(#glow)" opacity=".6"/><path fill="{ad}" d="M193 200h14v108h-14z"/><path fill="{a}" d="M200 224c28 14 34 52 14 84h-28c-20-32-14-70 14-84z"/><path fill="{ad}" d="M150 322q0-18 50-18t50 18z"/><path fill="{c}" d="M154 92h92l46 124H108z"/><path fill="#33261f" opacity=".1" d="M228 92h18l46 124h-34z"/><path d="M108 216h184M154 92h92" stroke="{ml}" stroke-width="7" stroke-linecap="round"/>`)
}

func drawNightLight(d *drawing) {
	d.s(`<circle cx="200" cy="210" r="140" fill="url(#glow)" opacity=".7"/><path fill="#f8ecd4" d="M162 214h76c-2 40 6 70 18 92q6 16-14 16h-84q-20 0-14-16c12-22 20-52 18-92z"/><path fill="#33261f" opacity=".08" d="M222 214h16c-2 40 6 70 18 92q6 16-14 16h-20c8-30 6-70 0-108z"/><path fill="{m}" d="M88 222c0-76 50-120 112-120s112 44 112 120q-10 16-112 16T88 222z"/><path fill="#33261f" opacity=".1" d="M262 122c32 22 50 56 50 100q-8 12-62 15c20-34 24-78 12-115z"/><g fill="#fdf7ea"><circle cx="150" cy="172" r="18"/><circle cx="206" cy="136" r="16"/><circle cx="256" cy="182" r="19"/><circle cx="200" cy="202" r="13"/><circle cx="118" cy="208" r="10"/></g>`)
}

func drawReel(d *drawing) {
	d.s(`<g transform="translate(-38 0)"><ellipse cx="200" cy="300" rx="78" ry="22" fill="#b88d62"/><path fill="{c}" d="M140 176h120v118q-60 26-120 0z"/><path d="M140 196q60 22 120 0M140 218q60 22 120 0M140 240q60 22 120 0M140 262q60 22 120 0M140 284q60 22 120 0" fill="none" stroke="#33261f" stroke-width="3" opacity=".2"/><path fill="#33261f" opacity=".1" d="M228 176h32v118q-14 6-32 10z"/><ellipse cx="200" cy="176" rx="78" ry="22" fill="#cfa67a"/><ellipse cx="200" cy="173" rx="78" ry="21" fill="#dcb88e"/><ellipse cx="200" cy="173" rx="20" ry="6" fill="#8b664b"/></g><path d="M222 290q40 26 62-14t36 30" fill="none" stroke="{m}" stroke-width="7" stroke-linecap="round"/><g transform="translate(252 190)"><rect x="4" y="86" width="68" height="46" rx="8" fill="{a}"/><ellipse cx="38" cy="86" rx="42" ry="12" fill="#dcb88e"/><ellipse cx="38" cy="86" rx="11" ry="3.5" fill="#8b664b"/><ellipse cx="38" cy="130" rx="42" ry="11" fill="#cfa67a"/></g>`)
}

func drawHouse(d *drawing) {
	d.s(`<path fill="{m}" d="M124 190h152v132H124z"/><path fill="#33261f" opacity=".09" d="M244 190h32v132h-32z"/><path fill="{m}" d="M200 104l84 90H116z"/><path d="M96 204L200 94l104 110" fill="none" stroke="{a}" stroke-width="20" stroke-linejoin="round" stroke-linecap="round"/><path fill="{as}" d="M246 108h24v46l-24-26z"/><circle cx="200" cy="178" r="22" fill="{ml}" stroke="{a}" stroke-width="5"/><path fill="{ad}" d="M176 322v-62q0-24 24-24t24 24v62z"/><circle cx="214" cy="284" r="4" fill="#f2d27c"/><g fill="#fbf3da" stroke="{a}" stroke-width="4"><path d="M136 244h26v34h-26zM238 244h26v34h-26z"/></g>`)
	d.emblem(d.figureOf("heart"), 200, 178, 26, d.accent.base, d.accent.deep)
}

func drawPiggy(d *drawing) {
	d.s(`<path d="M300 228q26-4 20-24t-22 2" fill="none" stroke="{md}" stroke-width="6" stroke-linecap="round"/><path fill="{md}" d="M134 290h34v32h-34zM232 290h34v32h-34z"/><ellipse cx="200" cy="236" rx="108" ry="74" fill="{c}"/><path fill="{ms}" d="M124 184l4-44 42 26z"/><ellipse cx="100" cy="238" rx="24" ry="30" fill="{ms}"/><g fill="{md}"><circle cx="93" cy="234" r="4.5"/><circle cx="105" cy="234" r="4.5"/><circle cx="142" cy="212" r="5.5"/></g><path d="M186 170h50" stroke="{md}" stroke-width="8" stroke-linecap="round"/><circle cx="212" cy="138" r="23" fill="#dcb04f"/><circle cx="212" cy="138" r="16" fill="none" stroke="#b88a33" stroke-width="3"/>`)
}

func drawSoap(d *drawing) {
	d.s(`<path fill="{as}" d="M84 296h232l-14 26H98z"/><path fill="{a}" d="M78 284h244v16H78z"/><rect x="110" y="206" width="180" height="80" rx="30" fill="{c}"/><path fill="#33261f" opacity=".1" d="M120 256h160q10 0 10 6-4 24-30 24H140q-26 0-30-24 0-6 10-6z"/><rect x="130" y="222" width="140" height="36" rx="16" fill="{ml}" opacity=".7"/><g fill="#fff" opacity=".75"><circle cx="146" cy="178" r="20"/><circle cx="184" cy="150" r="13"/><circle cx="238" cy="172" r="16"/><circle cx="214" cy="124" r="8"/></g>`)
}

func drawHen(d *drawing) {
	d.s(`<path d="M182 306v18M218 306v18" stroke="#d98f3e" stroke-width="8" stroke-linecap="round"/><path fill="{c}" d="M120 190C112 120 206 92 224 160c18 26 60 14 78-20 14 80-6 172-102 172-64 0-96-52-80-122z"/><path fill="{ms}" d="M170 216q46-20 86 14-14 48-60 44-34-8-26-58z"/><path fill="#c2453d" d="M140 132q-8-30 14-24 2-28 22-12 18-16 22 14-30-6-58 22z"/><path fill="#dd9b45" d="M122 170l-32 14 32 12z"/><circle cx="152" cy="164" r="7" fill="#3d3a3c"/><path fill="#c2453d" d="M114 194q-10 20 6 26 12-8 4-26z"/>`)
}

func drawRabbit(d *drawing) {
	d.s(`<path fill="{m}" d="M168 160C130 60 158 40 184 74q14 26 14 80zM232 160c38-100 10-120-16-86q-14 26-14 80z"/><path fill="#e9b9b4" d="M172 140C152 84 162 72 178 92q8 18 8 48zM228 140c20-56 10-68-6-48q-8 18-8 48z"/><ellipse cx="200" cy="270" rx="74" ry="54" fill="{m}"/><ellipse cx="200" cy="278" rx="44" ry="40" fill="{ml}"/><ellipse cx="200" cy="190" rx="62" ry="56" fill="{m}"/><path fill="#33261f" opacity=".07" d="M240 148q22 20 22 42 0 40-40 54 30-40 18-96z"/><g fill="#3d3a3c"><circle cx="178" cy="184" r="6"/><circle cx="222" cy="184" r="6"/></g><g fill="#e7a8a2"><circle cx="164" cy="204" r="9"/><circle cx="236" cy="204" r="9"/></g><path fill="#c9756f" d="M192 200h16l-8 9z"/><path d="M200 209q-8 12-18 6M200 209q8 12 18 6" fill="none" stroke="#8b5c50" stroke-width="3" stroke-linecap="round"/><g fill="{ms}"><ellipse cx="164" cy="312" rx="28" ry="12"/><ellipse cx="236" cy="312" rx="28" ry="12"/></g>`)
	d.bow(244, .62, d.accent)
}

func drawEgg(d *drawing) {
	d.s(`<path fill="{c}" d="M200 102c62 0 96 92 96 140 0 50-40 80-96 80s-96-30-96-80c0-48 34-140 96-140z"/><path fill="#33261f" opacity=".09" d="M236 116c38 30 60 92 60 126 0 50-40 80-96 80 60-20 80-120 36-206z"/><path fill="#fff" opacity=".3" d="M140 190q12-40 30-54 8 6 0 16-14 24-18 48-8 4-12-10z"/><path fill="{a}" d="M107 218q93 26 186 0l3 24q-96 28-192 0z"/>`)
	d.bow(232, .8, d.accent)
}

func drawFlower(d *drawing) {
	d.s(`<path d="M200 200q10 60-2 122" fill="none" stroke="#6f9a70" stroke-width="9"/><path fill="#7a9e6b" d="M202 280q12-44 66-46-8 48-66 56zM196 296q-12-34-58-34 10 40 58 44z"/>`)
	for i := range 8 {
		d.p(`<ellipse cx="200" cy="104" rx="28" ry="46" fill="%s" transform="rotate(%d 200 156)"/>`, []string{d.main.base, d.main.light}[i%2], i*45)
	}
	d.s(`<circle cx="200" cy="156" r="29" fill="#e0ad4a"/><circle cx="200" cy="156" r="18" fill="#c98d36"/>`)
}

func drawBird(d *drawing) {
	d.s(`<path d="M40 300q160-20 320 6" stroke="#8b664b" stroke-width="13" fill="none" stroke-linecap="round"/><path fill="#7a9e6b" d="M300 300q8-40 46-40-4 36-46 40zM92 296q-20-24-50-14 16 26 50 14z"/><path d="M186 268v26M214 268v26" stroke="#8b664b" stroke-width="6"/><path fill="{ms}" d="M276 214l78-44-12 40 20 22-72 16z"/><path fill="{c}" d="M84 168C92 112 168 96 196 146c26 34 66 40 96 66-6 44-56 66-108 62-66-4-104-50-100-106z"/><path fill="{ml}" d="M110 196q8 66 90 74-66 2-90-42z" opacity=".8"/><path fill="{md}" opacity=".75" d="M178 184q58-4 92 36-44 40-84 20-20-18-8-56z"/><path fill="#dd9b45" d="M88 158l-32 6 30 16z"/><circle cx="118" cy="154" r="7.5" fill="#2f2b2c"/><circle cx="115.5" cy="151.5" r="2.5" fill="#fff"/>`)
}
