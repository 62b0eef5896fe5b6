package console

import (
	"net/http"
	"slices"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// rightsView is the matrix of one role: a row for each group, a column for
// each right.
type rightsView struct {
	Roles  []filter
	Role   fleet.Role
	Title  string
	Match  string
	Rights []rightColumn
	Rows   []rightsRow
	Error  string
	Code   fault.Code
	CanSet bool
}

type rightColumn struct {
	Bit  fleet.Rights
	Text string
}

type rightsRow struct {
	Field string // "default", or the group's id
	Name  string
	Own   bool // the group has rights of its own
	Group bool
	Cells []rightsCell
}

type rightsCell struct {
	Name, Label string
	Checked     bool
	Off         bool // it has no meaning here
}

var rightColumns = []rightColumn{
	{fleet.See, "See"}, {fleet.VisitAccount, "Visit with account"}, {fleet.VisitPasswordless, "Visit passwordless"},
	{fleet.ManageDevices, "Manage devices"}, {fleet.ManagePeople, "Manage people"},
}

func pathRole(r *http.Request) (fleet.Role, error) {
	switch role := fleet.Role(r.PathValue("role")); role {
	case fleet.RoleAdmin, fleet.RoleTechnician, fleet.RoleAuditor:
		return role, nil
	}
	return "", fault.New(fault.NotFound, "There is no such role to set rights of.")
}

func (c *console) rolesPage(w *response, _ *http.Request, _ fleet.Principal) error {
	return w.redirect("/roles/technician")
}

func (c *console) rolePage(w *response, r *http.Request, p fleet.Principal) error {
	role, err := pathRole(r)
	if err != nil {
		return err
	}
	return c.showRights(w, r, p, role, nil)
}

func (c *console) showRights(w *response, r *http.Request, p fleet.Principal, role fleet.Role, refused *fault.Error) error {
	all, err := c.o.Fleet.RoleRights(r.Context(), p)
	if err != nil {
		return err
	}
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	if err != nil {
		return err
	}
	a := all[role]
	v := rightsView{Role: role, Title: "Rights of the " + string(role), Match: a.Tag(), Rights: rightColumns, CanSet: offersPeople(p) && manages(p.Role)}
	for _, x := range []fleet.Role{fleet.RoleAdmin, fleet.RoleTechnician, fleet.RoleAuditor} {
		v.Roles = append(v.Roles, filter{Text: string(x), Href: "/roles/" + string(x), Current: x == role})
	}
	may := a.Default
	if refused != nil {
		may, _ = ticked(r, "default")
	}
	v.Rows = append(v.Rows, newRightsRow("default", "Devices without a group, and other groups", may, role))
	for _, g := range gs {
		rights, own := a.Groups[g.ID]
		if !own {
			rights = a.Default
		}
		if refused != nil {
			rights, own = ticked(r, string(g.ID))
		}
		row := newRightsRow(string(g.ID), g.Name, rights, role)
		row.Own, row.Group = own, true
		v.Rows = append(v.Rows, row)
	}
	status := http.StatusOK
	if refused != nil {
		v.Error, v.Code, status = refused.Message, refused.Code, fault.Status(refused.Code)
		w.code = refused.Code
	}
	return c.show(w, r, p, status, "rights", page{Title: v.Title, Nav: "people", Data: v, Notice: notices[r.URL.Query().Get("notice")]})
}

func newRightsRow(field, name string, have fleet.Rights, role fleet.Role) rightsRow {
	row := rightsRow{Field: field, Name: name}
	for _, col := range rightColumns {
		row.Cells = append(row.Cells, rightsCell{
			Name: "r:" + field + ":" + col.Text, Label: col.Text + ", " + plain(name), Checked: have.Has(col.Bit),
			Off: role == fleet.RoleAuditor && col.Bit != fleet.See || col.Bit == fleet.ManagePeople && field != "default",
		})
	}
	return row
}

func (c *console) setRights(w *response, r *http.Request, p fleet.Principal) error {
	role, err := pathRole(r)
	if err != nil {
		return err
	}
	a := fleet.Access{Default: formRights(r, "default"), Groups: map[id.Group]fleet.Rights{}}
	for _, raw := range r.PostForm["own"] {
		var g id.Group
		if g.UnmarshalText([]byte(raw)) != nil {
			return fault.New(fault.Invalid, "The form is damaged. Reload the page.").In("own")
		}
		a.Groups[g] = formRights(r, raw)
	}
	if _, err := c.o.Fleet.SetRoleRights(r.Context(), p, role, a, r.PostFormValue("match")); err != nil {
		f := form{}
		if !f.refused(err) {
			return err
		}
		return c.showRights(w, r, p, role, fault.New(f.Code, "%s", f.Error))
	}
	return w.redirect("/roles/" + string(role) + "?notice=saved")
}

func formRights(r *http.Request, field string) (out fleet.Rights) {
	for _, col := range rightColumns {
		if r.PostFormValue("r:"+field+":"+col.Text) != "" {
			out |= col.Bit
		}
	}
	return out
}

// ticked is what a form that was refused had in a row: it is shown again, and
// not what is on record.
func ticked(r *http.Request, field string) (may fleet.Rights, own bool) {
	return formRights(r, field), slices.Contains(r.PostForm["own"], field)
}
