package kinds

import "testing"

func TestReissuedRecordsAreTaken(t *testing.T) {
	const hourMS = 3_600_000
	wrong, right := newTestKeyval(0), newTestKeyval(0)
	wrong.Clear(at(hourMS))
	wrong.Set([]byte("a"), []byte("wrong"), 5000, at(hourMS))
	wrong.Set([]byte("b"), []byte("x"), NoExpire, at(hourMS))
	wrong.Delete([]byte("b"), at(hourMS))
	wrong.Flush(at(hourMS))
	right.Set([]byte("b"), []byte("y"), NoExpire, at(0))
	right.Set([]byte("c"), []byte("z"), NoExpire, at(0))
	sequence := deliver(t, 1, wrong, right, 0, 0, at(100))
	mustLack(t, right, "a", 100)
	if n := wrong.Reissue(at(200)); n != 256+2 {
		t.Errorf("%d records and clears are stamped anew", n)
	}
	if n := wrong.Reissue(at(201)); n != 0 {
		t.Errorf("%d of them twice", n)
	}
	wrong.Flush(at(200))
	deliver(t, 1, wrong, right, sequence, 0, at(201))
	right.Flush(at(201))
	mustHave(t, right, "a", "wrong", 201)
	mustLack(t, right, "a", 5201)
	mustLack(t, right, "b", 201)
	mustLack(t, right, "c", 201)
	mustAgree(t, wrong, right)
	wrong.Set([]byte("d"), []byte("now"), NoExpire, at(300))
	wrong.Flush(at(300))
	if deliver(t, 1, wrong, right, sequence, 0, at(300)); right.Stats().Ahead != 256+2 {
		t.Errorf("refused: %+v", right.Stats())
	}
	mustHave(t, right, "d", "now", 300)
}
