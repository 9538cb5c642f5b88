package panels

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// series is one line of a panel.
type series struct {
	name   string
	labels map[string]string
	points []point // in the order of time
}

// point is a value at a time in unix seconds.
type point struct{ t, v float64 }

// steps is how many values there are of a series at most.
const steps = 200

var (
	variables = strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")
	labelName = regexp.MustCompile(`\{\{(\w+)\}\}`)
	client    = http.Client{Timeout: 30 * time.Second}
)

// read returns what an expression of the dashboard is between two times.
func read(prometheus, expr, legend string, from, to time.Time) ([]series, error) {
	query := url.Values{
		"query": {variables.Replace(expr)},
		"start": {strconv.FormatInt(from.Unix(), 10)},
		"end":   {strconv.FormatInt(to.Unix(), 10)},
		"step":  {strconv.FormatFloat(max(1, to.Sub(from).Seconds()/steps), 'f', 3, 64)},
	}
	response, err := client.Get(prometheus + "/api/v1/query_range?" + query.Encode())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s %s", expr, response.Status, body)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	var all []series
	for _, result := range answer.Data.Result {
		s := series{labels: result.Metric}
		s.name = labelName.ReplaceAllStringFunc(legend, func(label string) string { return result.Metric[strings.Trim(label, "{}")] })
		for _, value := range result.Values {
			t, _ := value[0].(float64)
			text, _ := value[1].(string)
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", expr, err)
			}
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				s.points = append(s.points, point{t, v})
			}
		}
		all = append(all, s)
	}
	return all, nil
}
