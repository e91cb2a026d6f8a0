package picture

// Things that hold something: bags, cups, boxes, bottles.

func drawParcel(d *drawing) {
	d.s(`<rect x="108" y="190" width="184" height="132" rx="5" fill="{c}"/><path fill="#33261f" opacity=".1" d="M252 190h40v132h-40z"/><rect x="98" y="164" width="204" height="36" rx="6" fill="{c}"/><path fill="#33261f" opacity=".13" d="M108 200h184v7H108z"/><path fill="{a}" d="M184 164h32v158h-32z"/>`)
	d.bow(158, 1.15, d.accent)
}

func drawBag(d *drawing) {
	d.s(`<path d="M158 170C158 84 242 84 242 170" fill="none" stroke="{md}" stroke-width="9"/><path fill="{c}" d="M112 158h176l16 156q1 8-7 8H103q-8 0-7-8z"/><path fill="#33261f" opacity=".12" d="M262 158h26l16 156q1 8-7 8h-24z"/><path fill="{a}" d="M111 156h178l1.5 18h-181z"/><path d="M146 172C146 70 254 70 254 172" fill="none" stroke="{a}" stroke-width="11" stroke-linecap="round"/><g fill="{ad}"><circle cx="146" cy="166" r="3.5"/><circle cx="254" cy="166" r="3.5"/></g><path d="M108 306h184" stroke="{md}" stroke-width="2" stroke-dasharray="6 5" opacity=".5"/>`)
}

func drawLunchBag(d *drawing) {
	d.s(`<path d="M160 140C160 84 240 84 240 140" fill="none" stroke="{a}" stroke-width="13"/><path fill="{c}" d="M120 178h160l10 136q0 8-8 8H118q-8 0-8-8z"/><path fill="#33261f" opacity=".12" d="M256 178h24l10 136q0 8-8 8h-22z"/><path fill="{c}" d="M128 122h144l10 82H118z"/><path fill="#fff" opacity=".16" d="M128 122h144l10 82H118z"/><path d="M118 204h164" stroke="{md}" stroke-width="3" opacity=".55"/><path fill="{a}" d="M126 118h148v12H126z"/><circle cx="200" cy="190" r="10" fill="{al}" stroke="{ad}" stroke-width="2"/>`)
}

func drawPurse(d *drawing) {
	d.s(`<path fill="{c}" d="M122 196C92 262 106 322 150 322h100c44 0 58-60 28-126z"/><path fill="#33261f" opacity=".1" d="M256 196h22c30 66 16 126-28 126h-18c40-14 48-66 24-126z"/><path d="M120 198Q200 164 280 198" fill="none" stroke="#c59b45" stroke-width="13" stroke-linecap="round"/><path d="M122 194Q200 161 278 194" fill="none" stroke="#ecd08a" stroke-width="3" stroke-linecap="round"/><g fill="#cfa54e" stroke="#9b7530" stroke-width="2"><circle cx="190" cy="168" r="10"/><circle cx="211" cy="168" r="10"/></g>`)
}

func drawMug(d *drawing) {
	d.s(`<path d="M258 200C326 188 326 288 252 280" fill="none" stroke="{ms}" stroke-width="19" stroke-linecap="round"/><path fill="{c}" d="M128 164h140v126q0 32-32 32h-76q-32 0-32-32z"/><path fill="#33261f" opacity=".1" d="M240 164h28v126q0 32-32 32h-14q18-8 18-34z"/><path fill="#fff" opacity=".25" d="M140 172h14v116q0 10-7 10t-7-10z"/><ellipse cx="198" cy="164" rx="70" ry="15" fill="{ml}"/><ellipse cx="198" cy="166" rx="61" ry="11" fill="#6d4a35"/><path d="M176 140q-12-14 0-28t0-28M204 140q-12-14 0-28t0-28" fill="none" stroke="#fff" stroke-width="5" stroke-linecap="round" opacity=".7"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("heart"), 194, 246, 56, contrast(d.main), d.main.deep)
	}
}

func drawTeacup(d *drawing) {
	d.s(`<ellipse cx="200" cy="306" rx="124" ry="19" fill="{ms}"/><ellipse cx="200" cy="301" rx="124" ry="17" fill="{c}"/><ellipse cx="200" cy="301" rx="124" ry="17" fill="none" stroke="{a}" stroke-width="4"/><path d="M276 206C338 196 326 270 256 268" fill="none" stroke="{ms}" stroke-width="12"/><path fill="{c}" d="M116 186h168c0 70-34 112-84 112s-84-42-84-112z"/><path fill="#33261f" opacity=".08" d="M252 186h32c0 70-34 112-84 112 34-14 52-56 52-112z"/><ellipse cx="200" cy="186" rx="84" ry="16" fill="{ml}" stroke="{a}" stroke-width="4"/><ellipse cx="200" cy="189" rx="72" ry="11" fill="#9c6238"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("rose"), 196, 244, 54, contrast(d.main), "#fff")
	}
}

func drawTlight(d *drawing) {
	if d.words.has("HANGING") {
		d.s(`<path d="M200 0V66M200 66L138 178M200 66l62 112" fill="none" stroke="#7d6a58" stroke-width="3"/>`)
	}
	d.s(`<circle cx="200" cy="226" r="112" fill="url(#glow)" opacity=".75"/><path fill="{c}" opacity=".82" d="M132 180h136l-12 128q-1 14-16 14h-80q-15 0-16-14z"/><path fill="{md}" opacity=".2" d="M240 180h28l-12 128q-1 14-16 14h-16z"/><path fill="#fff" opacity=".4" d="M146 190h12l8 112q0 6-5 6t-6-6z"/><rect x="162" y="264" width="76" height="46" rx="4" fill="#fbf3e0"/><ellipse cx="200" cy="265" rx="38" ry="7" fill="#fffaf0"/>`)
	d.flame(200, 264)
	d.s(`<ellipse cx="200" cy="180" rx="68" ry="12" fill="none" stroke="{ml}" stroke-width="5"/>`)
	if d.words.has("HEART", "HEARTS") {
		if d.words.has("HANGING") {
			d.emblem("heart", 200, 92, 44, d.accent.base, d.accent.deep)
		} else {
			d.emblem("heart", 200, 288, 34, d.accent.base, d.accent.deep)
		}
	}
}

func drawJar(d *drawing) {
	if d.words.has("LID") {
		// The color that is named is the lid's.
		d.main, d.accent, d.cloth = newTone(red), d.main, red
	}
	d.s(`<path fill="#dfeaea" opacity=".85" d="M140 170h120q14 10 14 34v96q0 22-22 22H148q-22 0-22-22v-96q0-24 14-34z"/><path fill="{m}" d="M134 212h132v86q0 16-16 16H150q-16 0-16-16z"/><path fill="#fff" opacity=".35" d="M142 206h12v92q0 8-6 8t-6-8z"/><path fill="{a}" d="M128 128h144l12 50q-14 8-24-2-12 12-24 0-12 12-24 0-12 12-24 0-12 12-24 0-12 12-24 0-12 8-24 2z"/><path fill="#33261f" opacity=".1" d="M136 160h128v14H136z"/><path fill="{al}" d="M128 128q72-18 144 0z"/><rect x="156" y="226" width="88" height="62" rx="6" fill="#fbf5e6"/>`)
	d.emblem(d.figureOf("strawberry"), 200, 257, 44, d.main.base, d.main.deep)
}

func drawTin(d *drawing) {
	d.s(`<path fill="{c}" d="M112 176v122q0 24 88 24t88-24V176z"/><path fill="#33261f" opacity=".12" d="M250 176v142q38-7 38-20V176z"/><path fill="#fff" opacity=".22" d="M124 186h14v124q-14-5-14-12z"/><path fill="{a}" d="M106 150v28q0 22 94 22t94-22v-28z"/><path fill="#33261f" opacity=".12" d="M250 150v47q44-6 44-19v-28z"/><ellipse cx="200" cy="150" rx="94" ry="22" fill="{al}"/><ellipse cx="200" cy="150" rx="76" ry="15" fill="{a}"/><circle cx="200" cy="140" r="13" fill="{ad}"/><circle cx="197" cy="137" r="5" fill="{al}"/>`)
	if d.cloth == d.main.base {
		d.p(`<ellipse cx="200" cy="262" rx="50" ry="36" fill="#fbf5e6"/>`)
		d.emblem(d.figureOf("heart"), 200, 261, 44, d.main.base, d.accent.base)
	}
}

func drawLunchbox(d *drawing) {
	d.s(`<path d="M160 168v-20q0-16 16-16h48q16 0 16 16v20" fill="none" stroke="{ad}" stroke-width="12"/><rect x="94" y="164" width="212" height="158" rx="22" fill="{c}"/><path fill="#33261f" opacity=".1" d="M264 164h20q22 0 22 22v114q0 22-22 22h-20z"/><path d="M94 226h212" stroke="{ad}" stroke-width="4" opacity=".7"/><rect x="94" y="164" width="212" height="158" rx="22" fill="none" stroke="{a}" stroke-width="7"/><rect x="182" y="212" width="36" height="28" rx="5" fill="{al}" stroke="{ad}" stroke-width="3"/>`)
}

func drawBox(d *drawing) {
	d.s(`<path fill="{c}" d="M104 196h192v116q0 10-10 10H114q-10 0-10-10z"/><path fill="#33261f" opacity=".11" d="M254 196h42v116q0 10-10 10h-32z"/><rect x="94" y="160" width="212" height="42" rx="8" fill="{a}"/><path fill="#33261f" opacity=".14" d="M104 202h192v7H104z"/><path fill="#fff" opacity=".25" d="M100 166h200v6H100z"/>`)
	if d.cloth == d.main.base {
		d.p(`<rect x="150" y="226" width="100" height="72" rx="7" fill="#fbf5e6"/>`)
		d.emblem(d.figureOf("flower"), 200, 262, 54, d.main.base, d.accent.base)
	}
}

func drawDrawers(d *drawing) {
	d.s(`<path fill="{md}" d="M112 314h20v14h-20zM268 314h20v14h-20z"/><rect x="96" y="110" width="208" height="208" rx="6" fill="{m}"/><path fill="#33261f" opacity=".09" d="M268 110h30q6 0 6 6v196q0 6-6 6h-30z"/><path fill="{ms}" d="M88 102h224v16H88z"/><g fill="{ml}" stroke="{ms}" stroke-width="3"><rect x="112" y="132" width="176" height="48" rx="4"/><rect x="112" y="192" width="176" height="48" rx="4"/><rect x="112" y="252" width="176" height="48" rx="4"/></g>`)
	for _, y := range []float64{156, 216, 276} {
		d.emblem(d.figureOf("heart"), 200, y, 26, d.accent.base, d.accent.deep)
	}
}

func drawBottle(d *drawing) {
	d.s(`<rect x="184" y="86" width="32" height="26" rx="4" fill="#c0946a"/><path fill="{c}" opacity=".88" d="M180 106h40v44q40 26 40 74v80q0 18-18 18h-84q-18 0-18-18v-80q0-48 40-74z"/><path fill="{md}" opacity=".2" d="M236 166q24 24 24 58v80q0 18-18 18h-20q16-4 16-22z"/><path fill="#fff" opacity=".4" d="M156 206q2-22 16-34l6 6q-10 12-10 30v90q0 8-6 8t-6-8z"/><path fill="{a}" d="M176 136h48v9h-48z"/><rect x="154" y="230" width="92" height="58" rx="4" fill="#fbf5e6"/>`)
	d.emblem(d.figureOf("leaf"), 200, 259, 40, d.main.shade, d.main.deep)
}

func drawHotWater(d *drawing) {
	d.s(`<rect x="178" y="78" width="44" height="24" rx="5" fill="{ad}"/><path fill="{a}" d="M170 98h60l6 36h-72z"/><path fill="{c}" d="M164 130h72l8 26q42 6 42 50v78q0 38-38 38h-96q-38 0-38-38v-78q0-44 42-50z"/><path fill="#33261f" opacity=".1" d="M244 156q42 6 42 50v78q0 38-38 38h-20q34-4 34-40v-80q0-36-18-46z"/><path d="M160 146h80" stroke="{a}" stroke-width="10" stroke-linecap="round"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("heart"), 200, 238, 84, contrast(d.main), d.main.deep)
	}
}

func drawJug(d *drawing) {
	d.s(`<path d="M254 168C322 160 318 270 252 270" fill="none" stroke="{ms}" stroke-width="15"/><path fill="{c}" d="M134 128l-16-8q-6-4 0-8h140v44q22 40 14 110-4 56-30 56h-84q-26 0-30-56-6-70 14-110z"/><path fill="#33261f" opacity=".1" d="M258 156q22 40 14 110-4 56-30 56h-16q22-8 24-56 4-66-14-110z"/><path fill="#fff" opacity=".28" d="M146 186q4-18 10-22l8 4q-10 40-6 100 0 10-6 10t-7-10q-4-50 1-82z"/><path d="M118 112h142" stroke="{a}" stroke-width="8" stroke-linecap="round"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("flower"), 198, 240, 74, contrast(d.main), d.accent.base)
	}
}

func drawWatering(d *drawing) {
	d.s(`<path d="M150 178C150 92 262 92 262 190" fill="none" stroke="{ms}" stroke-width="13"/><path fill="{ms}" d="M140 280L78 190l12-8 66 70z"/><path fill="{md}" d="M62 186l34-26 14 16-36 26z"/><path d="M262 208c48-4 44 84-4 84" fill="none" stroke="{ms}" stroke-width="12"/><path fill="{c}" d="M136 180h130l8 130q0 12-12 12H140q-12 0-12-12z"/><path fill="#33261f" opacity=".11" d="M238 180h28l8 130q0 12-12 12h-20z"/><ellipse cx="201" cy="180" rx="65" ry="12" fill="{md}"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("flower"), 198, 252, 66, contrast(d.main), d.accent.base)
	}
}

func drawPot(d *drawing) {
	d.s(`<g fill="#7a9e6b"><path d="M200 224C180 190 184 130 204 96C224 134 224 190 204 224z"/><path fill="#6a8f5f" d="M196 226C150 214 124 176 120 136C162 146 192 180 204 222z"/><path fill="#8fb07c" d="M204 226C250 214 276 176 280 136C238 146 208 180 196 222z"/></g><path fill="{c}" d="M136 226h128l-14 86q-2 10-12 10h-76q-10 0-12-10z"/><path fill="#33261f" opacity=".12" d="M236 226h28l-14 86q-2 10-12 10h-18z"/><rect x="124" y="206" width="152" height="30" rx="6" fill="{ml}"/><path fill="#33261f" opacity=".1" d="M136 236h128v6H136z"/>`)
}

func drawBowl(d *drawing) {
	d.s(`<path fill="{ms}" d="M162 308h76v14h-76z"/><path fill="{c}" d="M96 206h208c0 72-44 108-104 108S96 278 96 206z"/><path fill="#33261f" opacity=".1" d="M264 206h40c0 72-44 108-104 108 42-14 64-52 64-108z"/><ellipse cx="200" cy="206" rx="104" ry="24" fill="{ml}"/><ellipse cx="200" cy="210" rx="90" ry="17" fill="{md}" opacity=".55"/><path d="M96 206a104 24 0 0 0 208 0" fill="none" stroke="{a}" stroke-width="5"/>`)
}

func drawBasket(d *drawing) {
	d.s(`<path d="M124 214C124 84 276 84 276 214" fill="none" stroke="{md}" stroke-width="14"/><path d="M124 214C124 84 276 84 276 214" fill="none" stroke="{ml}" stroke-width="5" stroke-dasharray="10 9"/><path fill="{a}" d="M98 206q20-30 50-8 26-30 52-2 26-28 52 2 30-22 50 8l-6 28H104z"/>`)
	d.p(`<defs><pattern id="weave" width="28" height="18" patternUnits="userSpaceOnUse"><path fill="%s" d="M0 0h28v18H0z"/><path d="M2 5h10M16 14h10" stroke="%s" stroke-width="6" stroke-linecap="round"/><path d="M16 5h10M2 14h10" stroke="%s" stroke-width="6" stroke-linecap="round"/></pattern></defs>`, d.main.deep, d.main.light, d.main.base)
	d.s(`<path fill="url(#weave)" d="M94 216h212l-18 94q-2 12-14 12H126q-12 0-14-12z"/><path fill="#33261f" opacity=".12" d="M262 216h44l-18 94q-2 12-14 12h-26z"/><rect x="88" y="206" width="224" height="20" rx="9" fill="{ms}"/>`)
}

func drawTeapot(d *drawing) {
	d.s(`<path d="M270 206C334 190 334 290 262 286" fill="none" stroke="{ms}" stroke-width="15"/><path fill="{ms}" d="M130 270C84 262 88 206 62 190l20-12c26 12 34 40 62 42z"/><path fill="{c}" d="M200 168c60 0 86 40 86 82 0 44-30 72-86 72s-86-28-86-72c0-42 26-82 86-82z"/><path fill="#33261f" opacity=".09" d="M244 178c30 12 42 42 42 72 0 44-30 72-86 72 46-14 62-40 62-74 0-30-6-54-18-70z"/><path fill="{a}" d="M152 178q48-36 96 0z"/><circle cx="200" cy="150" r="12" fill="{ad}"/>`)
	if d.cloth == d.main.base {
		d.emblem(d.figureOf("rose"), 200, 248, 78, contrast(d.main), d.main.deep)
	}
}

func drawGlass(d *drawing) {
	d.s(`<path fill="{m}" opacity=".75" d="M136 130h128c4 66-10 112-54 120v50h38q8 0 8 10v12H144v-12q0-10 8-10h38v-50c-44-8-58-54-54-120z"/><path fill="{md}" opacity=".22" d="M240 130h24c4 66-10 112-54 120 26-22 34-66 30-120z"/><path fill="#fff" opacity=".45" d="M148 142h10c-2 44 4 70 16 86-18-10-28-40-26-86z"/><ellipse cx="200" cy="130" rx="64" ry="11" fill="none" stroke="{ml}" stroke-width="5"/>`)
}
