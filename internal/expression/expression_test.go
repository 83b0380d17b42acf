package expression_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/expression"
)

// alice is a worker with attributes of every kind.
const alice = `{
	"name": "Alice", "language": "en", "skills": ["billing", "sales"], "level": 5, "rate": 2.5, "debt": -3, "text": "18",
	"available": true, "away": false, "manager": null, "empty": "", "none": [],
	"address": {"city": "Zürich", "in": {"zip": "8001"}}, "phones": ["+41", "+49"], "lines": [{"sku": "A1"}],
	"mixed": [1, "2", true, null, ["a", 1], {"k": 1}],
	"first-name": "Alice", "_id": 7, "$cost": 1, "android": "and", "not-ready": true, "größe": "XL", "名前": "アリス",
	"note": "a\nb\tc\r", "said": "it's \"so\"", "path": "C:\\new", "clef": "𝄞"
}`

// attributesOf decodes attributes as the callers of Holds do.
func attributesOf(t testing.TB, encoded string) map[string]any {
	t.Helper()
	var attributes map[string]any
	require.NoError(t, json.Unmarshal([]byte(encoded), &attributes))
	return attributes
}

func requireHolds(t *testing.T, want bool, text string, attributes map[string]any) {
	t.Helper()
	e, err := expression.Parse(text)
	require.NoError(t, err, text)
	require.Equal(t, want, e.Holds(attributes), text)
	require.Equal(t, text, e.String())
}

// TestHolds has, for every rule, expressions that are true of alice, and expressions that are false.
func TestHolds(t *testing.T) {
	t.Parallel()
	attributes := attributesOf(t, alice)
	for rule, expressions := range map[string]struct{ holds, fails []string }{
		"equality is of one type and in one case": {
			holds: []string{
				`1==1`, `1 = 1`, `1 == 1.0`, `1.00 = 1`, `007 == 7`, `-0 == 0`, `debt == -3`, `debt=-3`, `rate == 2.5`, `name == "Alice"`, `"Alice" = name`,
				`name == name`, `available == true`, `true == available`, `away = FALSE`, `manager == null`, `NULL = manager`, `empty == ""`,
				`language != "EN"`, `level <> 6`, `0 != 1`, `"apple" != "orange"`, `text != 18`, `available != "true"`, `level != "5"`, `away != null`, `empty != null`,
			},
			fails: []string{
				`1 == 2`, `name == "alice"`, `name = 'ALICE'`, `name != "Alice"`, `level <> 5`, `text == 18`, `available = "true"`, `available == 1`,
				`away == null`, `away == 0`, `manager == false`, `manager = ""`, `null != null`,
			},
		},
		"lists and objects are equal in all that is in them": {
			holds: []string{
				`skills == ["billing", "sales"]`, `none == []`, `[] = []`, `[[1], 'a'] == [[1], "a"]`, `skills == skills`, `address = address`,
				`skills != ["sales", "billing"]`, `skills != "billing"`, `mixed != skills`,
			},
			fails: []string{`skills == ["billing"]`, `skills != skills`, `address == skills`, `none == null`, `[level] == [6]`},
		},
		"numbers are ordered, and texts": {
			holds: []string{
				`level > 4`, `level >= 5`, `level <= 5`, `level < 5.1`, `4<level`, `rate>=-2.5`, `debt < -2.9`, `level>debt`, `level < ` + strings.Repeat("9", 400),
				`language > "de"`, `language >= "en"`, `language <= "en"`, `"a" < "b"`, `"Z" < "a"`, `"" < "a"`, `"10" < "9"`,
			},
			fails: []string{`level > 5`, `level < 5`, `5 >= 6`, `level <= 4.99`, `language > "en"`, `language < "de"`, `"b" <= "a"`},
		},
		"nothing else is ordered": {
			holds: []string{`NOT text > 17`, `NOT missing > 0`},
			fails: []string{
				`text > 17`, `text < 19`, `level < "6"`, `"5" >= level`, `available > false`, `true >= true`, `null <= null`, `manager >= null`,
				`missing < 1`, `missing > 1`, `missing <= missing`, `1 > missing`, `"a" > missing`, `none < 1`, `skills >= skills`, `[1] < [2]`, `address > 0`,
			},
		},
		"HAS looks into a list, and takes a text for one": {
			holds: []string{
				`skills HAS "billing"`, `skills has 'sales'`, `(skills HaS "billing")`, `["a", "b"] HAS "b"`, `language HAS "en"`, `"en" HAS language`,
				`mixed HAS 1`, `mixed HAS "2"`, `mixed HAS true`, `mixed HAS null`, `mixed HAS missing`, `mixed HAS ["a", 1]`, `[level, 1] HAS 5`,
			},
			fails: []string{
				`skills HAS "Billing"`, `skills HAS "bill"`, `skills HAS skills`, `skills HAS ["billing"]`, `skills HAS null`, `none HAS ""`, `none HAS null`,
				`language HAS "e"`, `level HAS 5`, `available HAS true`, `manager HAS null`, `missing HAS "x"`, `missing HAS missing`, `address HAS "city"`,
				`mixed HAS 2`, `mixed HAS "1"`, `mixed HAS false`,
			},
		},
		"IN looks into a list, and NOT IN is its opposite": {
			holds: []string{
				`language IN ["en", "de"]`, `language in ['en']`, `level IN [1, 5]`, `"billing" IN skills`, `available IN [true]`, `missing IN [null]`,
				`name IN [language, name]`, `skills IN [skills]`, `null in mixed`,
				`language NOT IN ["fr", "de"]`, `language not in []`, "language NOT \n\t IN ['EN']", `"billing" Not In none`,
				`missing NOT IN ["en"]`, `language NOT IN missing`, `language NOT IN "en"`,
			},
			fails: []string{
				`language IN ["EN"]`, `language IN []`, `level IN ["5"]`, `"bill" IN skills`, `language IN "en"`, `language IN language`,
				`missing IN ["en"]`, `missing IN []`, `language IN missing`, `"city" IN address`, `language NOT IN ["en"]`, `"sales" NOT IN skills`, `missing NOT IN [null]`,
			},
		},
		"CONTAINS looks into a text or a list": {
			holds: []string{
				`name CONTAINS "lic"`, `name contains ''`, `name CONTAINS name`, `"Alice Cooper" CONTAINS name`, `address.city CONTAINS "ü"`,
				`skills CONTAINS "billing"`, `mixed Contains 1`, `mixed CONTAINS null`,
			},
			fails: []string{
				`name CONTAINS "LIC"`, `name CONTAINS "Alicex"`, `skills CONTAINS "bill"`, `text CONTAINS 8`, `level CONTAINS 5`, `level CONTAINS "5"`,
				`missing CONTAINS ""`, `missing CONTAINS missing`, `name CONTAINS missing`, `address CONTAINS "city"`, `none CONTAINS ""`,
			},
		},
		"an operand alone has to be true": {
			holds: []string{`available`, `true`, `TRUE`, `worker.available`, `(available)`, `NOT away`, `!missing`, `! "x"`},
			fails: []string{`away`, `false`, `null`, `missing`, `name`, `"true"`, `'x'`, `level`, `1`, `skills`, `[]`, `[true]`, `address`, `NOT available`},
		},
		"a missing attribute is null": {
			holds: []string{
				`missing != "a"`, `missing == null`, `missing = missing`, `missing <> 0`, `address.street == null`, `missing.at.all == null`, `name.first == null`,
				`level.x == null`, `manager.x == null`, `skills.x == null`, `phones[2] == null`, `phones[99999999999999999999] == null`, `name[0] == null`, `none[0] = null`,
			},
			fails: []string{`missing == "a"`, `missing != null`, `missing == false`, `missing == ""`, `Name == "Alice"`, `address.City != null`},
		},
		"names lead into objects and lists": {
			holds: []string{
				`address.city == "Zürich"`, `address.in.zip == "8001"`, `phones[0] == "+41"`, `phones[1] == '+49'`, `lines[0].sku == "A1"`, `mixed[4][1] == 1`,
				`mixed[5].k == 1`, `first-name == "Alice"`, `_id == 7`, `$cost == 1`, `android == "and"`, `not-ready`, `NOT not-ready == false`,
				`größe == "XL"`, `名前 == "アリス"`,
			},
			fails: []string{`address == "Zürich"`, `phones[1] == "+41"`, `lines.sku == "A1"`},
		},
		"texts stand in either quotes": {
			holds: []string{
				`said == "it's \"so\""`, `said == 'it\'s "so"'`, `said == "it\'s \"so\""`, `path == "C:\\new"`, `path == 'C:\\new'`, `note == "a\nb\tc\r"`,
				"note == 'a\nb\tc\r'", `"\d\/" == "d/"`, `"\\n" != "\n"`, `"\\\\" == '\\\\'`, `"\ü" == "ü"`, `"(" != ")"`, `'AND' == "AND"`, `"NOT" IN ["NOT"]`,
				`clef == "𝄞"`, `名前 CONTAINS "リ"`, `'' == ""`, `" a " != "a"`, `"null" != null`, `language=='en'AND"a"<'b'`,
			},
			fails: []string{`path == "C:\new"`, `"ü" == "u\u0308"`},
		},
		"NOT binds tighter than AND, AND tighter than OR": {
			holds: []string{
				`true OR false AND false`, `false AND false OR true`, `true or true and false`, `NOT false OR true`, `NOT false AND true`, `NOT level == 6`,
				`!level == 6`, `!(level == 5) || available`, `NOT not true`, `!!true`, `! NOT !false`, `NOT (true AND false)`, `not language in ["fr"]`,
				`false OR false OR true`, `true AND true AND true`, `NOT language NOT IN ["en"]`, `!missing&&!away`,
			},
			fails: []string{
				`(true OR false) AND false`, `NOT true OR false`, `NOT (true OR false)`, `NOT true AND false`, `false AND true OR false`, `NOT level == 5`, `!!!true`,
				`true && false`, `false || false`, `true AND true AND false`,
			},
		},
		"parentheses, spaces and cases of keywords are free": {
			holds: []string{
				`((((level == 5))))`, ` ( level==5 ) `, "\tlevel\n==\r\n5\u00a0", `(skills HAS 'sales') AND (language == "fr" OR language == "en")`,
				`level==5AND language=="en"`, `level == 5 && language == 'en' || false`, `tRuE aNd NoT fAlSe Or NuLl`,
				`(language == "fr" OR (level > 3 AND NOT (address.city == "Bern" OR away))) AND skills HAS "billing"`,
			},
			fails: []string{`(skills HAS 'sales') AND (language == "fr" OR language == "de")`},
		},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			for _, text := range expressions.holds {
				requireHolds(t, true, text, attributes)
			}
			for _, text := range expressions.fails {
				requireHolds(t, false, text, attributes)
			}
		})
	}
}

// TestWorkerAndTask checks the names in a workflow's expressions. They also work where there is only a worker or a
// task.
func TestWorkerAndTask(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		attributes, text string
		want             bool
	}{
		{`{"language": "en"}`, `worker.language == "en"`, true},
		{`{"language": "en"}`, `task.language == "en"`, true},
		{`{"language": "en"}`, `worker.worker.language == "en"`, false},
		{`{"language": "en"}`, `agent.language == "en"`, false},
		{`{"language": "en"}`, `Worker.language == "en"`, false},
		{`{"language": "en"}`, `worker == "en"`, false},
		{`{"address": {"city": "Bern"}}`, `task.address.city == "Bern"`, true},
		{`{"skills": ["a", "b"]}`, `worker.skills[1] == "b"`, true},
		{`{"worker": {"language": "de"}, "language": "en"}`, `worker.language == "de"`, true},
		{`{"worker": {"language": "de"}, "language": "en"}`, `language == "en"`, true},
		{`{"worker": {"language": "de"}, "language": "en"}`, `task.language == "en"`, true},
		{`{"worker": {}, "language": "en"}`, `worker.language == null`, true},
		{`{"worker": null, "language": "en"}`, `worker.language == null`, true},
		{`{"worker": "w", "language": "en"}`, `worker == "w" AND worker.language == null`, true},
		{`{"worker": {"language": "de"}, "task": {"language": "de"}}`, `task.language == worker.language`, true},
		{`{"worker": {"skills": ["billing"]}, "task": {"skill": "billing"}}`, `worker.skills HAS task.skill`, true},
		{`{"worker": {"skills": ["billing"]}, "task": {"skill": "sales"}}`, `task.skill IN worker.skills`, false},
		{`{}`, `1==1`, true},
		{`{}`, `worker.x`, false},
		{`null`, `worker.x == null`, true},
	} {
		requireHolds(t, c.want, c.text, attributesOf(t, c.attributes))
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for text, message := range map[string]string{
		"":                              `the expression is empty: write 1==1 for everybody`,
		" \n\t ":                        `the expression is empty: write 1==1 for everybody`,
		"a b":                           `at character 3: found "b", expected "==", HAS, IN, AND, OR or the end`,
		"a == 1 b":                      `at character 8: found "b", expected AND, OR or the end`,
		"(a b)":                         `at character 4: found "b", expected "==", HAS, IN, AND, OR or ")"`,
		"a ==":                          `at character 5: found the end, expected a name, a value or "["`,
		"a == ":                         `at character 6: found the end, expected a name, a value or "["`,
		"(a == )":                       `at character 7: found ")", expected a name, a value or "["`,
		"a === 1":                       `at character 5: found "=", expected a name, a value or "["`,
		"a == AND":                      `at character 6: found "AND", expected a name, a value or "["`,
		"a == (1)":                      `at character 6: found "(", expected a name, a value or "["`,
		"a == not":                      `at character 6: found "not", expected a name`,
		"1 == 1 ==1":                    `at character 8: found "==", expected AND, OR or the end`,
		"(a) == 1":                      `at character 5: found "==", expected AND, OR or the end`,
		"NOT":                           `at character 4: found the end, expected a name, a value, "[" or "("`,
		"a AND":                         `at character 6: found the end, expected a name, a value, "[" or "("`,
		"a OR or b":                     `at character 6: found "or", expected a name, a value, "[" or "("`,
		"&& a":                          `at character 1: found "&&", expected a name, a value, "[" or "("`,
		"in":                            `at character 1: found "in", expected a name`,
		"()":                            `at character 2: found ")", expected a name, a value, "[" or "("`,
		"(a":                            `at character 3: found the end, expected "==", HAS, IN, AND, OR or ")"`,
		"((a == 1)":                     `at character 10: found the end, expected AND, OR or ")"`,
		"a)":                            `at character 2: found ")", expected "==", HAS, IN, AND, OR or the end`,
		"a NOT":                         `at character 6: found the end, expected IN`,
		"a NOT HAS 1":                   `at character 7: found "HAS", expected IN`,
		"a ! IN [1]":                    `at character 3: found "!", expected "==", HAS, IN`,
		"a IN":                          `at character 5: found the end, expected a name, a value or "["`,
		"a IN (1, 2)":                   `at character 6: found "(", expected a name, a value or "["`,
		"[":                             `at character 2: found the end, expected a name, a value, "[" or "]"`,
		"a IN [1":                       `at character 8: found the end, expected "," or "]"`,
		"a IN [1 'b']":                  `at character 9: found a text, expected "," or "]"`,
		"a IN [1,]":                     `at character 9: found "]", expected a name, a value or "["`,
		"a IN [1 OR 2]":                 `at character 9: found "OR", expected "," or "]"`,
		"1-1":                           `at character 2: found "-1", expected "=="`,
		"1a":                            `at character 2: found "a", expected "=="`,
		"phones[x]":                     `at character 7: found "[", expected "=="`,
		`a == "x`:                       `at character 6: the text that begins here isn't closed: end it with "`,
		`a == 'x" `:                     `at character 6: the text that begins here isn't closed: end it with '`,
		`a == "x\"`:                     `at character 6: the text that begins here isn't closed: end it with "`,
		`ü == “x”`:                      `at character 6: '“' means nothing here: put texts in "" or ''`,
		"a == 1;":                       `at character 7: ';' means nothing here`,
		"a & b":                         `at character 3: '&' means nothing here`,
		"a.":                            `at character 2: '.' means nothing here`,
		"a == 1.":                       `at character 7: '.' means nothing here`,
		"a == -":                        `at character 6: '-' means nothing here`,
		"a \x00":                        `at character 3: '\x00' means nothing here`,
		"a \xff":                        `at character 3: '�' means nothing here`,
		"アリス == 'ü' b":                  `at character 12: found "b", expected AND, OR or the end`,
		"a " + strings.Repeat("b", 100): `found "` + strings.Repeat("b", 30) + `", expected`,
	} {
		_, err := expression.Parse(text)
		require.ErrorContains(t, err, message, text)
	}
}

func TestLengthAndDepth(t *testing.T) {
	t.Parallel()
	texts := func(length int) string { return `a == "` + strings.Repeat("ü", length-len(`a == ""`)) + `"` }
	nested := func(open, closed string, depth int) string {
		return strings.Repeat(open, depth) + "1==1" + strings.Repeat(closed, depth)
	}
	list := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) + " != 1" }

	for _, text := range []string{
		texts(4096), nested("(", ")", 100), nested("NOT ", "", 100), nested("!!(", ")", 99), list(100), "!NOT (" + list(98) + ")",
		strings.Repeat("(!NOT a) OR [[a]] == a OR ", 130) + "1==1", // one after the other, not nested
		`a IN ["` + strings.Repeat("(", 2000) + `"] OR 1==1`,
	} {
		requireHolds(t, text != texts(4096), text, nil)
	}

	_, err := expression.Parse(texts(4097))
	require.EqualError(t, err, "the expression has 4097 characters: shorten it to 4096")
	for _, text := range []string{
		nested("(", ")", 101), nested("NOT ", "", 101), nested("!", "", 4000), nested("!!(", ")", 100), nested("not(", ")", 101), list(101), list(2000),
		strings.Repeat("(", 4096), strings.Repeat("[", 4096), strings.Repeat("NOT ", 1024), strings.Repeat("!(", 2048), strings.Repeat("[(", 2048),
	} {
		_, err := expression.Parse(text)
		require.ErrorContains(t, err, "it is nested more than 100 deep: write it with fewer parentheses, lists and NOTs", text)
	}
}

// TestUsedAtOnce uses a shared expression concurrently, for the race detector.
func TestUsedAtOnce(t *testing.T) {
	t.Parallel()
	attributes := attributesOf(t, alice)
	shared, err := expression.Parse(`skills HAS "billing" AND level IN [4, 5]`)
	require.NoError(t, err)
	var group sync.WaitGroup
	wrong := make(chan int, 8)
	for n := range 8 {
		group.Go(func() {
			own, err := expression.Parse(fmt.Sprintf("level > %d", n-3))
			if err != nil || !own.Holds(attributes) || !shared.Holds(attributes) {
				wrong <- n
			}
		})
	}
	group.Wait()
	require.Empty(t, wrong)
}

// FuzzParse checks that nothing panics, that an error has the position and the mistake, and that NOT inverts every
// expression.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", `1==1`, `(skills HAS "billing") AND (language IN ['en', "de"] OR NOT worker.level < 5)`, `task.address.city CONTAINS "ü"`, `a NOT IN [[], [1, null]]`,
		`!available||phones[0]<>"\"\\\n"`, `a == 1 b`, `a IN [1,`, `a == "x`, `NOT not (`, `-1.5 >= $x-y.z`, `true aNd FALſE`, "\xff", `(a) == 1`, `a NOT HAS 1`, `“x”`,
	} {
		f.Add(seed)
	}
	attributes := attributesOf(f, alice)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := expression.Parse(text)
		if err != nil {
			require.NotRegexp(t, `^$|expected $|parse the expression`, err.Error())
			require.Regexp(t, `^at character \d+: |^the expression `, err.Error())
			return
		}
		holds := e.Holds(attributes)
		e.Holds(nil)
		again, err := expression.Parse(e.String())
		require.NoError(t, err)
		require.Equal(t, holds, again.Holds(attributes))
		if opposite, err := expression.Parse("NOT (" + text + ")"); err == nil { // otherwise it is too long or too deep
			require.Equal(t, !holds, opposite.Holds(attributes))
		}
	})
}
