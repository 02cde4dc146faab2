//! Exports of lists as CSV and JSON.

use super::Desk;
use serde_json::Value;

#[test]
fn a_list_is_exported_as_it_is_filtered_and_sorted() {
    let desk = Desk::with(
        "CREATE TABLE odd (id int PRIMARY KEY, t text, n numeric, j jsonb, b boolean);
         INSERT INTO odd VALUES (1, 'plain', 1.50, '{\"a\": 1}', true),
             (2, E'a \"quoted\", and\\nmore', -5, NULL, false), (3, '=1+1', NULL, NULL, NULL), (4, '', 0, '[]', true)",
    );
    let csv = desk.admin.get("/tables/public/odd/export?as=csv");
    assert_eq!(csv.status, 200);
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(
        csv.header("content-disposition"),
        "attachment; filename=\"odd.csv\""
    );
    assert_eq!(
        csv.body,
        "id,t,n,j,b\r\n1,plain,1.50,\"{\"\"a\"\": 1}\",true\r\n\
         2,\"a \"\"quoted\"\", and\nmore\",-5,,false\r\n3,'=1+1,,,\r\n4,\"\",0,[],true\r\n"
    );
    let json = desk.page("/tables/public/odd/export?as=json&c=id&o=gt&v=1&sort=-id");
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    let ids: Vec<&Value> = json
        .as_array()
        .expect("it is a list")
        .iter()
        .map(|row| &row["id"])
        .collect();
    assert_eq!(ids, [4, 3, 2]);
    assert_eq!(json[1]["t"], "=1+1", "JSON has every value as it is");
    assert_eq!(
        desk.admin.get("/tables/public/odd/export?as=xlsx").status,
        400
    );
    assert!(
        desk.page("/tables/public/odd/export?q=pl")
            .contains("holds “pl”")
    );
}

#[test]
fn a_list_larger_than_a_reply_is_exported_in_parts() {
    let desk = Desk::with(
        "CREATE TABLE big (id int PRIMARY KEY, t text);
         INSERT INTO big SELECT i, md5(i::text) || repeat(md5((i + 1)::text), 30) FROM generate_series(1, 5000) i",
    );
    let mut next = Some("/tables/public/big/export?as=csv".to_string());
    let (mut ids, mut parts) = (Vec::new(), 0);
    while let Some(path) = next {
        let file = desk.admin.get(&path);
        assert_eq!(file.status, 200, "{path}");
        assert!(file.body.len() < 3 * 1024 * 1024);
        let lines = file.body.lines().skip(1);
        ids.extend(lines.map(|line| line.split(',').next().expect("it has one").to_string()));
        let link = file.header("link").to_string();
        next = link
            .strip_prefix('<')
            .and_then(|link| link.split('>').next())
            .map(str::to_string);
        parts += 1;
    }
    assert!(parts > 1, "one reply held it all");
    let expected: Vec<String> = (1..=5000).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected);

    let browser = [("accept", "text/html"), ("accept-encoding", "identity")];
    let page = desk
        .admin
        .send("GET", "/tables/public/big/export?as=json", &browser, None);
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("larger than one download"),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("part=1") && page.body.contains("after="),
        "{}",
        page.body
    );
}
