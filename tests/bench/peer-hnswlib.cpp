// peer-hnswlib.cpp: hnswlib (Debian's libhnswlib-dev) beside the vector store, in CPU time of one thread; compiled by tests/bench/vecstore.
#include <hnswlib/hnswlib.h>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

static double cpu()
{
	timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return double(ts.tv_sec) + double(ts.tv_nsec) / 1e9;
}

// Files of tests/bench/vecsets: version 1, '<f4'. Rows are normalised, as for cosine.
static std::vector<float> load(const char *name, size_t &n, size_t &dim)
{
	std::ifstream f(name, std::ios::binary);
	std::string all((std::istreambuf_iterator<char>(f)), {});
	size_t at = all.find("'shape': (");
	if (at == std::string::npos || sscanf(all.c_str() + at, "'shape': (%zu, %zu)", &n, &dim) != 2)
		exit(1);
	std::vector<float> v(n * dim);
	memcpy(v.data(), all.data() + all.size() - v.size() * 4, v.size() * 4);
	for (size_t i = 0; i < n; i++) {
		double sum = 0;
		for (size_t k = 0; k < dim; k++)
			sum += double(v[i * dim + k]) * v[i * dim + k];
		for (size_t k = 0; k < dim; k++)
			v[i * dim + k] = float(v[i * dim + k] / (sum > 0 ? std::sqrt(sum) : 1));
	}
	return v;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t n, nq, dim;
	auto base = load(argv[1], n, dim), queries = load(argv[2], nq, dim);
	hnswlib::InnerProductSpace space(dim);
	hnswlib::BruteforceSearch<float> exact(&space, n);
	hnswlib::HierarchicalNSW<float> index(&space, n, 16, 200);
	std::vector<std::set<size_t>> truth(nq);
	for (size_t i = 0; i < n; i++)
		exact.addPoint(&base[i * dim], i);
	for (size_t i = 0; i < nq; i++)
		for (auto r = exact.searchKnn(&queries[i * dim], 10); !r.empty(); r.pop())
			truth[i].insert(r.top().second);
	double began = cpu();
	for (size_t i = 0; i < n; i++)
		index.addPoint(&base[i * dim], i);
	double built = cpu() - began;
	printf("{\"what\":\"build\",\"cpu_s\":%.2f,\"index_bytes_per_vector\":%zu}\n", built, index.size_data_per_element_);
	fflush(stdout);
	for (size_t ef : {10, 14, 18, 22, 27, 33, 40, 50, 60, 75, 90, 110, 140, 180, 230, 300, 400, 520, 700, 1000}) {
		double best = 0, recall = 0;
		index.setEf(ef);
		for (int round = 0; round < 2; round++) {
			size_t found = 0;
			double spent = 0;
			for (size_t i = 0; i < nq; i++) {
				began = cpu();
				auto r = index.searchKnn(&queries[i * dim], 10);
				spent += cpu() - began;
				for (; !r.empty(); r.pop())
					found += truth[i].count(r.top().second);
			}
			best = std::max(best, double(nq) / spent);
			recall = double(found) / double(nq * 10);
		}
		printf("{\"what\":\"graph\",\"ef\":%zu,\"qps\":%.0f,\"recall\":%.4f}\n", ef, best, recall);
		fflush(stdout);
		if (recall > 0.995)
			break;
	}
	return 0;
}
