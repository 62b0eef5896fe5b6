package fault

// An end is why a visit is over.
type end struct {
	said string // in a few words, for lists: "ended: ..."
	page string // to its visitor, as a sentence
}

const again = " Open the PBX from the console again."

// ends are the codes that end a visit, and what is said of each.
var ends = map[Code]end{
	// Of visits on record since before there were others, and what an older
	// relay says of any.
	VisitEnded:      {"the cause is not on record", "The visit is over." + again},
	EndedByStaff:    {"by the provider’s staff, in the console or by the API", "The visit was ended in the console, or by the API." + again},
	EndedByVisitor:  {"by its visitor", "The visit was ended from its own page." + again},
	EndedByPBX:      {"by the PBX’s own staff", "The visit was ended at the PBX."},
	VisitIdle:       {"nobody operated the portal for its idle time", "The visit ended because nobody operated the portal for a while." + again},
	VisitExpired:    {"it reached its longest time", "The visit reached its longest time." + again},
	AccessWithdrawn: {"its visitor may not any more", "You may not be in this PBX any more, or not in this way: the provider changed who may, or the PBX's options. Ask an owner or an admin."},
	DeviceRemoved:   {"the PBX was removed", "The provider removed this PBX."},
	AccountRemoved:  {"the account was removed", "The account that this PBX belonged to was removed."},
	Restored:        {"the provider’s database was restored from a backup", "The provider's database was restored from a backup, which ends all visits." + again},
	// What follows ends no visit that somebody is in, or ends it for the agent
	// that hears it alone.
	HandoverInvalid: {"no browser arrived in time", ""},
	Unavailable:     {"the relays could not be told", ""},
	LoginFailed:     {"the PBX could not sign the visitor in", ""},
	ConnectionLost:  {"the connection to the relay broke", ""},
	RelayLost:       {"its relay was lost", ""},
}

// Ending says in a few words what ended a visit, "" for "". A code of a newer
// version is shown as it is.
func Ending(c Code) string {
	if e, ok := ends[c]; ok || c == "" {
		return e.said
	}
	return string(c)
}

// Over is what the visitor of a visit is told that ended for c. For what no
// visitor is told by its own code it is visit_ended.
func Over(c Code) *Error {
	if ends[c].page == "" {
		c = VisitEnded
	}
	return New(c, "%s", ends[c].page)
}

// Endings are the codes that Over can have.
func Endings() []Code {
	var out []Code
	for c, e := range ends {
		if e.page != "" {
			out = append(out, c)
		}
	}
	return out
}
