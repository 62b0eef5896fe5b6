package result

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is where the load was made.
type Machine struct {
	OS     string `json:"os"` // with the kernel's release
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"` // the model, if known
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory_bytes"` // 0 if unknown
}

// ThisMachine is the one that the program runs on. What Linux's /proc does not
// tell stays empty.
func ThisMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), CPU: procField("/proc/cpuinfo", "model name")}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.OS += " " + strings.TrimSpace(string(b))
	}
	kb, _, _ := strings.Cut(procField("/proc/meminfo", "MemTotal"), " ")
	if n, err := strconv.ParseInt(kb, 10, 64); err == nil {
		m.Memory = n << 10
	}
	return m
}

// procField is the first value of a name in a file of lines "name: value".
func procField(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
