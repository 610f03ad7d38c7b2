# repository: makes a git repository ./repo of 1,000 small text files in 50 folders, with one commit.
repository() {
	git init -q repo
	git -C repo config user.name Bench
	git -C repo config user.email bench@example.invalid
	for ((d = 0; d < 50; d++)); do
		mkdir "repo/d$d"
		for ((f = 0; f < 20; f++)); do
			for ((l = 0; l < 60; l++)); do echo "line $l of file $f in folder $d: $((l * f * d * 7919 % 100003))"; done >"repo/d$d/f$f"
		done
	done
	touch -d '1 hour ago' repo/d*/f* # or status reads what was written in the index's own second, however many files that are
	git -C repo add .
	git -C repo commit -q -m first
}
