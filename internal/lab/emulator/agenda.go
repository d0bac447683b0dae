package emulator

// stage is what a packet meets next.
type stage uint8

const (
	stageLink     stage = iota // it leaves the uplink
	stageDownlink              // it reaches the downlink
	stageEnd                   // its way is over
)

// packet is a packet under way.
type packet struct {
	from, to Site
	data     []byte
	fate     Fate
}

// appointment is a stage that a packet reaches at a certain time.
type appointment struct {
	due   Instant
	order uint64 // of two appointments at one time the one made first comes first
	stage stage
	packet
}

func (a *appointment) before(b *appointment) bool {
	return a.due < b.due || a.due == b.due && a.order < b.order
}

// agenda is a heap of appointments: items[0] is the next. (container/heap would allocate for every packet.)
type agenda struct {
	items []appointment
	made  uint64
}

func (a *agenda) push(due Instant, s stage, p packet) {
	a.made++
	a.items = append(a.items, appointment{due: due, order: a.made, stage: s, packet: p})
	for i := len(a.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.items[i].before(&a.items[parent]) {
			break
		}
		a.items[i], a.items[parent] = a.items[parent], a.items[i]
		i = parent
	}
}

func (a *agenda) pop() appointment {
	top := a.items[0]
	end := len(a.items) - 1
	a.items[0] = a.items[end]
	a.items[end] = appointment{}
	a.items = a.items[:end]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < end; child++ {
			if a.items[child].before(&a.items[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		a.items[i], a.items[least] = a.items[least], a.items[i]
		i = least
	}
}
