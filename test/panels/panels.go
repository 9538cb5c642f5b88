// Package panels draws a Grafana dashboard as an SVG from what a Prometheus holds, for those who
// want to see what it shows without a Grafana. It knows the kinds of panels that ours has.
package panels

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// panel is what is drawn of a Grafana panel.
type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H float64 }
	Targets     []struct {
		Expr, LegendFormat string
	}
	FieldConfig struct {
		Defaults struct {
			Unit     string
			Decimals *int
			Custom   struct{ Stacking struct{ Mode string } }
			Mappings []struct {
				Options map[string]struct{ Text string }
			}
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
		Overrides []struct {
			Matcher    struct{ Options string }
			Properties []struct {
				Value struct{ FixedColor string }
			}
		}
	}
}

// Draw returns the dashboard, which is in Grafana's JSON, as it is between two times. The variable
// $__rate_interval is a minute; all others select everything.
func Draw(dashboard []byte, prometheus string, from, to time.Time) ([]byte, error) {
	var board struct{ Panels []panel }
	if err := json.Unmarshal(dashboard, &board); err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	c := &canvas{from: from, to: to}
	for _, p := range board.Panels {
		c.height = max(c.height, (p.GridPos.Y+p.GridPos.H)*unitHeight)
		c.panel(p)
		var all []series
		for _, target := range p.Targets {
			found, err := read(prometheus, target.Expr, target.LegendFormat, from, to)
			if err != nil {
				return nil, fmt.Errorf("panel %s: %w", p.Title, err)
			}
			all = append(all, found...)
		}
		slices.SortStableFunc(all, func(a, b series) int { return cmp.Compare(a.name, b.name) })
		switch p.Type {
		case "row":
		case "stat":
			c.stat(p, all)
		case "timeseries":
			c.lines(p, all)
		case "state-timeline":
			c.states(p, all)
		case "table":
			c.table(p, all)
		default:
			return nil, fmt.Errorf("panel %s: unknown type %q", p.Title, p.Type)
		}
	}
	return c.svg(), nil
}

// The size of the picture, in pixels.
const (
	width      = 1200.0
	unitWidth  = width / 24 // of a column of the grid
	unitHeight = 24.0       // of a row of the grid
	margin     = 8.0
)

// canvas collects the elements of an SVG.
type canvas struct {
	from, to time.Time
	height   float64
	body     bytes.Buffer
}

// svg returns the whole picture.
func (c *canvas) svg() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]g" height="%[2]g" viewBox="0 0 %[1]g %[2]g" font-family="sans-serif" font-size="11">`+"\n", width, c.height)
	fmt.Fprintf(&out, `<rect width="%g" height="%g" fill="#f4f5f5"/>`+"\n", width, c.height)
	out.Write(c.body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

func (c *canvas) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(&c.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, w, h, fill)
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(&c.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, stroke)
}

// text writes text; style is further attributes, such as text-anchor="end".
func (c *canvas) text(x, y float64, style, text string) {
	fmt.Fprintf(&c.body, `<text x="%.1f" y="%.1f" %s>`, x, y, style)
	xml.EscapeText(&c.body, []byte(text))
	c.body.WriteString("</text>\n")
}

// panel draws the frame of a panel and its title.
func (c *canvas) panel(p panel) {
	x, y := p.GridPos.X*unitWidth, p.GridPos.Y*unitHeight
	if p.Type == "row" {
		c.text(x+margin, y+17, `font-size="14" font-weight="bold"`, p.Title)
		return
	}
	fmt.Fprintf(&c.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="white" stroke="#dcdcde"/>`+"\n",
		x+2, y+2, p.GridPos.W*unitWidth-4, p.GridPos.H*unitHeight-4)
	c.text(x+margin, y+17, `font-weight="bold"`, p.Title)
}

// stat writes the last value of the first series.
func (c *canvas) stat(p panel, all []series) {
	text, color := "–", "black"
	if len(all) > 0 && len(all[0].points) > 0 {
		points := all[0].points
		v := points[len(points)-1].v
		text = format(v, p.FieldConfig.Defaults.Unit, p.FieldConfig.Defaults.Decimals)
		if mapped := p.mapped(v); mapped != "" {
			text = mapped
		}
		for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
			if step.Value == nil || v >= *step.Value {
				color = hex(step.Color)
			}
		}
	}
	x, y := p.GridPos.X*unitWidth, p.GridPos.Y*unitHeight
	c.text(x+p.GridPos.W*unitWidth/2, y+62, `font-size="24" text-anchor="middle" fill="`+color+`"`, text)
}

// mapped returns the text that stands for a value, "" for none.
func (p panel) mapped(v float64) string {
	for _, m := range p.FieldConfig.Defaults.Mappings {
		if option, ok := m.Options[strconv.FormatFloat(v, 'g', -1, 64)]; ok {
			return option.Text
		}
	}
	return ""
}

// table writes the labels of each series in a row.
func (c *canvas) table(p panel, all []series) {
	x, y := p.GridPos.X*unitWidth+margin, p.GridPos.Y*unitHeight
	for i, s := range all {
		c.text(x, y+36+32*float64(i), "", s.labels["job"]+" "+s.labels["instance"])
		c.text(x, y+50+32*float64(i), `fill="#666"`, strings.Join([]string{s.labels["version"], s.labels["revision"], s.labels["goversion"]}, "  "))
	}
}
