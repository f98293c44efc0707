package main

// internalNames are the properties of the client's own objects. They are
// shortened in dist, which saves a twentieth of it. Nothing on the list may be
// a property of the package's surface, of what travels as JSON, or of the
// browser's objects.
var internalNames = []string{
	"acked", "acknowledged", "acks", "after", "answer", "attach", "attempt", "awake", "backoff", "begin", "blank",
	"bye", "calls", "channels", "configure", "connection", "control", "controls", "current",
	"cursor", "cutOff", "deliver", "dispatch", "drop", "dropped", "end", "ended", "entry", "epoch", "fail",
	"failSome", "finish", "flush", "forget", "forgotten", "freeze", "functions", "goAway", "gone", "greet",
	"greeted", "hand", "head", "heard", "heardAt", "hello", "lastId", "leavePage", "letGo", "listen", "listeners",
	"log", "lose", "moveFailed", "moveLater", "moveTimer", "patience", "patient", "payload", "place", "posting",
	"posts", "probe", "probing", "quit", "receive", "refuse", "refused", "renew", "request", "restart", "retry",
	"retryTimer", "session", "settings", "settle", "shut", "silent", "skip", "socket", "socketFrom", "start",
	"started", "states", "stay", "successor", "sweep", "take", "taken", "tell", "token", "told", "tries",
	"upgradeLater", "waiting", "wake", "waking", "watch", "watcher", "welcome", "welcomed", "withdraw",
	"withdrawn", "written",
}
