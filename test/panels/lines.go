package panels

import (
	"fmt"
	"strings"
)

// plot is where the values of a panel are drawn.
type plot struct {
	c          *canvas
	x, y, w, h float64
	top        float64 // the value at its upper edge; the lower one is 0
}

func (p *plot) at(pt point) (x, y float64) {
	span := p.c.to.Sub(p.c.from).Seconds()
	return p.x + (pt.t-float64(p.c.from.Unix()))/span*p.w, p.y + p.h - pt.v/p.top*p.h
}

// lines draws series over time, as lines or as areas on top of each other.
func (c *canvas) lines(p panel, all []series) {
	stacked := p.FieldConfig.Defaults.Custom.Stacking.Mode == "normal"
	drawn, floors := all, make([][]point, len(all))
	if stacked {
		drawn, floors = stack(all)
	}
	pl := &plot{
		c: c, x: p.GridPos.X*unitWidth + 62, y: p.GridPos.Y*unitHeight + 26,
		w: p.GridPos.W*unitWidth - 62 - 2*margin, h: p.GridPos.H*unitHeight - 26 - 38,
	}
	highest := 0.0
	for _, s := range drawn {
		for _, pt := range s.points {
			highest = max(highest, pt.v)
		}
	}
	step := tick(highest, p.FieldConfig.Defaults.Unit)
	for pl.top = step; pl.top < highest; pl.top += step {
	}
	for v := 0.0; v <= pl.top*1.001; v += step {
		_, y := pl.at(point{0, v})
		c.line(pl.x, y, pl.x+pl.w, y, "#e6e6e8")
		c.text(pl.x-4, y+4, `text-anchor="end" fill="#666"`, format(v, p.FieldConfig.Defaults.Unit, nil))
	}
	c.clock(pl)
	for i := len(drawn) - 1; i >= 0; i-- { // the lowest area last, on top of those above it
		c.curve(pl, drawn[i].points, floors[i], stacked, p.color(drawn[i].name, i))
	}
	c.legend(p, all)
}

// curve draws one series. A gap of the data is one of the line.
func (c *canvas) curve(pl *plot, points, floor []point, filled bool, color string) {
	var path strings.Builder
	gap := 3 * max(1, c.to.Sub(c.from).Seconds()/steps)
	for i, pt := range points {
		x, y := pl.at(pt)
		letter := "L"
		if i == 0 || pt.t-points[i-1].t > gap {
			letter = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", letter, x, y)
	}
	if filled && len(points) > 0 {
		var area strings.Builder
		area.WriteString(path.String())
		for i := len(floor) - 1; i >= 0; i-- {
			x, y := pl.at(floor[i])
			fmt.Fprintf(&area, "L%.1f %.1f", x, y)
		}
		fmt.Fprintf(&c.body, `<path d="%sZ" fill="%s" fill-opacity="0.3"/>`+"\n", area.String(), color)
	}
	fmt.Fprintf(&c.body, `<path d="%s" fill="none" stroke="%s" stroke-width="1.3"/>`+"\n", path.String(), color)
}

// stack returns the series on top of each other, and what each stands on.
func stack(all []series) (drawn []series, floors [][]point) {
	sums := map[float64]float64{}
	for _, s := range all {
		raised, floor := s, []point(nil)
		raised.points = nil
		for _, pt := range s.points {
			floor = append(floor, point{pt.t, sums[pt.t]})
			sums[pt.t] += pt.v
			raised.points = append(raised.points, point{pt.t, sums[pt.t]})
		}
		drawn, floors = append(drawn, raised), append(floors, floor)
	}
	return drawn, floors
}

// states draws a bar for each series, green where it is 1 and red elsewhere.
func (c *canvas) states(p panel, all []series) {
	pl := &plot{
		c: c, x: p.GridPos.X*unitWidth + 110, y: p.GridPos.Y*unitHeight + 26,
		w: p.GridPos.W*unitWidth - 110 - 2*margin, h: p.GridPos.H*unitHeight - 26 - 24, top: 1,
	}
	for i, s := range all {
		each := pl.h / float64(len(all))
		y := pl.y + float64(i)*each
		c.text(pl.x-4, y+each/2+4, `text-anchor="end" fill="#666"`, s.name)
		for j := 0; j < len(s.points); {
			k := j
			for k+1 < len(s.points) && s.points[k+1].v == s.points[j].v {
				k++
			}
			color := hex("red")
			if s.points[j].v == 1 {
				color = hex("green")
			}
			x, _ := pl.at(s.points[j])
			end, _ := pl.at(s.points[min(k+1, len(s.points)-1)])
			c.rect(x, y+1, end-x, each-3, color)
			if end-x > 60 {
				c.text(x+6, y+each/2+4, `fill="white"`, p.mapped(s.points[j].v))
			}
			j = k + 1
		}
	}
	c.clock(pl)
}

// clock writes the minutes since the beginning below a plot.
func (c *canvas) clock(pl *plot) {
	minutes := c.to.Sub(c.from).Minutes()
	every := 1.0
	for minutes/every > 6 {
		every *= 2
	}
	for m := 0.0; m <= minutes; m += every {
		x := pl.x + m/minutes*pl.w
		c.text(x, pl.y+pl.h+13, `text-anchor="middle" fill="#666"`, fmt.Sprintf("%g min", m))
	}
}

// legend names the series of a panel at its lower edge, as small as it takes.
func (c *canvas) legend(p panel, all []series) {
	x, y := p.GridPos.X*unitWidth+margin, (p.GridPos.Y+p.GridPos.H)*unitHeight-10
	needed := 0.0
	for _, s := range all {
		needed += 26 + 6.2*float64(len(s.name))
	}
	shrunk := min(1, (p.GridPos.W*unitWidth-2*margin)/needed)
	for i, s := range all {
		c.rect(x, y-8, 10*shrunk, 8, p.color(s.name, i))
		c.text(x+14*shrunk, y, fmt.Sprintf(`font-size="%.1f"`, 11*shrunk), s.name)
		x += (26 + 6.2*float64(len(s.name))) * shrunk
	}
}

var palette = []string{"#56a64b", "#3274d9", "#e0b400", "#ff780a", "#8f3bb8", "#1f978f", "#e02f44", "#6e7b91"}

// color returns that of the n-th series of a panel, whose name may have one of its own.
func (p panel) color(name string, n int) string {
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.Options == name && len(o.Properties) > 0 {
			return hex(o.Properties[0].Value.FixedColor)
		}
	}
	return palette[n%len(palette)]
}

// hex returns one of Grafana's colours as SVG takes it.
func hex(name string) string {
	known := map[string]string{"green": "#56a64b", "yellow": "#e0b400", "orange": "#ff780a", "red": "#e02f44", "blue": "#3274d9", "text": "#24292e"}
	if color, ok := known[name]; ok {
		return color
	}
	return name
}
