package tunnel

// Portal is where the agent reaches the PBX's web UI, as the PBX names it.
// The relay's edge presents Origin to the portal, and maps Origin and Aliases
// in what comes back to the site's own origin.
type Portal struct {
	Origin  string   `json:"origin"` // scheme://host[:port], no path
	Aliases []string `json:"aliases,omitempty"`
}
