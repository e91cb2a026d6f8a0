package picture

import "strings"

// s writes markup with the drawing's paints put in: {m} {ml} {ms} {md} are the
// main color, its light, its shade and its deep one; {a} {al} {as} {ad} the
// accent's; {c} is the cloth.
func (d *drawing) s(markup string) {
	r := strings.NewReplacer(
		"{m}", d.main.base, "{ml}", d.main.light, "{ms}", d.main.shade, "{md}", d.main.deep,
		"{a}", d.accent.base, "{al}", d.accent.light, "{as}", d.accent.shade, "{ad}", d.accent.deep,
		"{c}", d.cloth,
	)
	_, _ = r.WriteString(&d.b, markup) // a strings.Builder never fails
}

// with draws in other colors.
func (d *drawing) with(main, accent string, draw func()) {
	m, a, c := d.main, d.accent, d.cloth
	d.main, d.accent, d.cloth = newTone(main), newTone(accent), main
	draw()
	d.main, d.accent, d.cloth = m, a, c
}

// flame draws a lit wick with its foot at a point.
func (d *drawing) flame(x, y float64) {
	d.p(`<circle cx="%.0f" cy="%.0f" r="62" fill="url(#glow)" opacity=".8"/>`, x, y-20)
	d.p(`<g transform="translate(%.0f %.0f)"><path d="M0 0v-9" stroke="#4a3b33" stroke-width="3"/><path fill="#f2a541" d="M0-4C-15-16-6-28 0-46C6-28 15-16 0-4z"/><path fill="#fff0b8" d="M0-5C-7-13-3-20 0-28C3-20 7-13 0-5z"/></g>`, x, y)
}

// cord hangs the thing from the upper edge down to y.
func (d *drawing) cord(y int) {
	d.p(`<path d="M200 0V%d" stroke="#7d6a58" stroke-width="3"/>`, y)
}

// bow ties a ribbon in the middle, at the height y.
func (d *drawing) bow(y, scale float64, t tone) {
	d.p(`<g transform="translate(200 %.0f) scale(%.2f)"><path fill="%s" d="M-4 4L-26 44l14-4 8 12L4 8zM4 4l22 40-14-4-8 12L-4 8z"/>`, y, scale, t.shade)
	d.p(`<path fill="%s" d="M0 0C-16-30-50-30-46-4C-44 20-16 16 0 4zM0 0C16-30 50-30 46-4C44 20 16 16 0 4z"/><path fill="%s" d="M-6 0C-16-12-32-14-34-4C-30 6-16 6-6 3zM6 0C16-12 32-14 34-4C30 6 16 6 6 3z" opacity=".6"/><rect x="-9" y="-9" width="18" height="19" rx="6" fill="%s"/></g>`, t.base, t.deep, t.light)
}
