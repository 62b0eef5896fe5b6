package pbxsim

import (
	"fmt"
	"strings"
)

// avatar is a person's initials on a colour of the person's own.
func avatar(i int, name string) string {
	colours := []string{"#3b6fd4", "#2f8f83", "#8a5cc2", "#c0573f", "#5b7a2e", "#b0447f", "#4d6a8a", "#a0702a"}
	first, last, _ := strings.Cut(name, " ")
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><circle cx="20" cy="20" r="20" fill="%s"/>`+
		`<text x="20" y="25.500" text-anchor="middle" font-family="Arial,sans-serif" font-size="15" font-weight="600" fill="#fff">%c%c</text></svg>`,
		colours[mix(i, 2)%len(colours)], first[0], last[0])
}

func sparkline(seed int, colour string) string {
	var points strings.Builder
	for x := range 25 {
		y := 21 - (mix(seed*100+x, 3)%7 + x*(seed+1)/10)
		fmt.Fprintf(&points, "%d,%d ", x*5, y)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 26" preserveAspectRatio="none">`+
		`<polygon points="0,26 %s120,26" fill="%s" fill-opacity=".12"/>`+
		`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.500"/></svg>`, points.String(), colour, points.String(), colour)
}

// callsPerHour is a day of an office, in two colours: answered and missed.
func callsPerHour() string {
	day := []int{2, 1, 1, 0, 1, 3, 9, 24, 52, 78, 86, 81, 60, 64, 83, 88, 74, 58, 31, 18, 12, 8, 5, 3}
	const height, width, bottom, left = 220, 640, 190, 34
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Arial,sans-serif" font-size="11" fill="#7a8799">`, width, height)
	for n := 0; n <= 100; n += 25 {
		y := bottom - n*17/10
		fmt.Fprintf(&b, `<path d="M%d %d.500H%d" stroke="#e6ebf2"/><text x="%d" y="%d" text-anchor="end">%d</text>`, left, y, width, left-8, y+4, n)
	}
	step := (width - left) / len(day)
	for hour, n := range day {
		x, missed := left+8+hour*step, n/9
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="14" height="%d" rx="2" fill="#3b76ef"/>`, x, bottom-n*17/10, n*17/10)
		if missed > 0 {
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="14" height="%d" rx="2" fill="#f2a65a"/>`, x, bottom-(n+missed)*17/10-1, missed*17/10)
		}
		if hour%3 == 0 {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%02d:00</text>`, x+7, bottom+18, hour)
		}
	}
	b.WriteString(`</svg>`)
	return b.String()
}
