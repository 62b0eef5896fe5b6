package controlapi

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// The filters and pages as a URL's query.

func (q PageQuery) values() url.Values { return q.add(url.Values{}) }

func (q PageQuery) add(v url.Values) url.Values {
	set(v, "cursor", q.Cursor)
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func (f DeviceFilter) values() url.Values {
	v := url.Values{}
	set(v, "search", f.Search)
	set(v, "status", f.Status)
	set(v, "group", string(f.Group))
	set(v, "scope", f.Scope)
	set(v, "account", string(f.Account))
	set(v, "sort", f.Sort)
	set(v, "order", f.Order)
	return v
}

func (q WatchQuery) values() url.Values {
	v := url.Values{}
	set(v, "scope", q.Scope)
	return v
}

func (q DeviceExport) values() url.Values {
	v := q.DeviceFilter.values()
	set(v, "format", q.Format)
	set(v, "ids", q.Select.String())
	return v
}

func (q VisitQuery) values() url.Values {
	v := q.PageQuery.values()
	if q.Live {
		v.Set("live", "true")
	}
	if q.Ended {
		v.Set("ended", "true")
	}
	set(v, "device", string(q.Device))
	set(v, "user", string(q.User))
	return v
}

func (f AuditFilter) values() url.Values {
	v := url.Values{}
	set(v, "search", f.Search)
	set(v, "action", f.Action)
	set(v, "actor", f.Actor)
	set(v, "outcome", f.Outcome)
	setTime(v, "from", f.From)
	setTime(v, "to", f.To)
	return v
}

func (q ListQuery) values() url.Values {
	v := q.PageQuery.values()
	set(v, "search", q.Search)
	return v
}

func set(v url.Values, key, value string) {
	if value != "" {
		v.Set(key, value)
	}
}

func setTime(v url.Values, key string, t time.Time) {
	if !t.IsZero() {
		v.Set(key, t.UTC().Format(time.RFC3339Nano))
	}
}

// at is a path with a thing's name in it.
func at[T ~string](format string, name T) string {
	return fmt.Sprintf(format, url.PathEscape(string(name)))
}
